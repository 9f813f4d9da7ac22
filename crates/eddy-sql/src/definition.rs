//! Application definitions as people have them: what `describe-application` prints (API versions 1
//! and 2), CloudFormation templates (JSON and YAML) and Terraform plans (JSON).
//!
//! The forms differ in names and nesting, not in what they say. So names are compared without case,
//! underscores and the words that only some forms add, and a list of one entry is its entry.

use eddy_record::{Column, RecordFormat, Schema};
use serde_json::Value as Json;

/// An application as its definition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// The SQL.
    pub code: String,
    /// The in-application stream of the source: the input's prefix and `_001`.
    pub source: String,
    /// The columns of the source.
    pub schema: Schema,
    /// Where the records come from: the ARN of a Kinesis or Firehose stream.
    pub input_arn: String,
    /// `NOW`, `TRIM_HORIZON` or `LAST_STOPPED_POINT`, where the definition says.
    pub starting_position: Option<String>,
    /// The ARN of a Lambda function that changes records before they are read.
    pub preprocessing_arn: Option<String>,
    /// The in-application streams whose rows leave, and where to.
    pub outputs: Vec<DefinedOutput>,
    /// Reference data.
    pub references: Vec<DefinedReference>,
}

/// An output of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinedOutput {
    /// The in-application stream.
    pub stream: String,
    /// The ARN of a Kinesis stream, a Firehose stream or a Lambda function.
    pub arn: String,
    /// `JSON` or `CSV`.
    pub format: String,
}

/// Reference data of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinedReference {
    /// The in-application table.
    pub table: String,
    /// Its columns.
    pub schema: Schema,
    /// The bucket, as its ARN.
    pub bucket_arn: String,
    /// The object in it.
    pub key: String,
}

/// A definition that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DefinitionError {
    /// The text is neither JSON nor YAML.
    #[error("neither JSON nor YAML: {reason}")]
    Unreadable {
        /// Where and why.
        reason: String,
    },
    /// Nothing in it is an application: check the file.
    #[error(
        "no Kinesis Data Analytics application in it; known are the output of \
             describe-application, CloudFormation templates and Terraform plans as JSON"
    )]
    NoApplication,
    /// More than one application: give a file that has one.
    #[error("more than one application in it: {names}")]
    Several {
        /// Their names.
        names: String,
    },
    /// A part is missing.
    #[error("the definition has no {what}")]
    Missing {
        /// What is missing.
        what: &'static str,
    },
    /// A part cannot be used.
    #[error("{what}: {reason}")]
    Wrong {
        /// The part.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

impl Definition {
    /// Reads a definition in any of its forms.
    ///
    /// # Errors
    /// The text is no definition, or lacks a part.
    pub fn read(text: &str) -> Result<Self, DefinitionError> {
        let json = if is_json(text) {
            serde_json::from_str(text).map_err(|error| error.to_string())
        } else {
            crate::yaml::to_json(text)
        };
        let json: Json = json.map_err(|reason| DefinitionError::Unreadable { reason })?;
        let mut found = Found::default();
        found.search(&json);
        let [application] = found.applications[..] else {
            let names = found.applications.iter().map(|it| string(it, &["name"]));
            let names: Vec<String> = names.map(Option::unwrap_or_default).collect();
            return Err(if names.is_empty() {
                DefinitionError::NoApplication
            } else {
                DefinitionError::Several { names: names.join(", ") }
            });
        };
        // What CloudFormation keeps in resources of their own is beside the application's.
        let sql = inside(application, &["sqlapplicationconfiguration"]);
        let parts = [Some(application), inside(application, &["configuration"]), sql];
        let all = |names: &[&str]| -> Vec<&Json> {
            let own = parts.iter().flatten().filter_map(|part| direct(part, names));
            own.flat_map(entries).collect()
        };
        let code = code_of(application)?;
        let input = *all(&["input"]).first().ok_or(DefinitionError::Missing { what: "input" })?;
        let prefix = string(input, &["nameprefix"])
            .ok_or(DefinitionError::Missing { what: "NamePrefix" })?;
        let schema = inside(input, &["inputschema", "schema"])
            .ok_or(DefinitionError::Missing { what: "input schema" })?;
        let mut outputs = all(&["output"]);
        outputs.extend(found.outputs.iter().copied());
        let mut references = all(&["referencedatasource"]);
        references.extend(found.references.iter().copied());
        let processing =
            inside(input, &["inputprocessingconfiguration", "processingconfiguration"]);
        Ok(Self {
            name: string(application, &["name"]).unwrap_or_default(),
            code,
            source: format!("{prefix}_001"),
            schema: schema_of(schema)?,
            input_arn: inside(input, SOURCES)
                .and_then(|source| string_inside(source, ARN))
                .unwrap_or_default(),
            starting_position: string_inside(input, &["inputstartingposition", "startingposition"]),
            preprocessing_arn: processing.and_then(|it| string_inside(it, ARN)),
            outputs: outputs.into_iter().map(output_of).collect::<Result<_, _>>()?,
            references: references.into_iter().map(reference_of).collect::<Result<_, _>>()?,
        })
    }
}

const SOURCES: &[&str] =
    &["kinesisstreamsinput", "kinesisfirehoseinput", "kinesisstream", "kinesisfirehose"];
const ARN: &[&str] = &["resourcearn", "kinesisstreamarn", "arn"];

/// The parts of a text that are applications, and CloudFormation's parts of them.
#[derive(Default)]
struct Found<'a> {
    applications: Vec<&'a Json>,
    outputs: Vec<&'a Json>,
    references: Vec<&'a Json>,
}

impl<'a> Found<'a> {
    fn search(&mut self, json: &'a Json) {
        match json {
            Json::Object(object) => {
                let resource = object.get("Type").or_else(|| object.get("type"));
                let properties = object.get("Properties").or_else(|| object.get("values"));
                if let (Some(Json::String(resource)), Some(properties)) = (resource, properties) {
                    let kind = resource.replace("V2", "").to_lowercase().replace(['_', ':'], "");
                    match kind.as_str() {
                        "awskinesisanalyticsapplication" | "awskinesisanalyticsv2application" => {
                            self.applications.push(properties)
                        }
                        "awskinesisanalyticsapplicationoutput" => {
                            self.outputs.push(direct(properties, &["output"]).unwrap_or(properties))
                        }
                        "awskinesisanalyticsapplicationreferencedatasource" => {
                            let own = direct(properties, &["referencedatasource"]);
                            self.references.push(own.unwrap_or(properties));
                        }
                        _ => {}
                    }
                    return;
                }
                if let Some(detail) = object.get("ApplicationDetail") {
                    self.applications.push(detail);
                    return;
                }
                if object.contains_key("ApplicationCode") || object.contains_key("ApplicationName")
                {
                    self.applications.push(json);
                    return;
                }
                object.values().for_each(|value| self.search(value));
            }
            Json::Array(values) => values.iter().for_each(|value| self.search(value)),
            _ => {}
        }
    }
}

/// A name without what differs between the forms.
fn plain(name: &str) -> String {
    let lower = name.to_lowercase().replace('_', "");
    let lower = lower.strip_suffix("descriptions").unwrap_or(&lower);
    let lower = lower.strip_suffix("description").unwrap_or(lower);
    let lower = lower.strip_prefix("application").filter(|it| !it.is_empty()).unwrap_or(lower);
    lower.strip_suffix('s').unwrap_or(lower).to_owned()
}

/// The entry of an object under any of these names; a list of one is its entry.
fn direct<'a>(json: &'a Json, names: &[&str]) -> Option<&'a Json> {
    let object = alone(json).as_object()?;
    let found = object
        .iter()
        .find(|(name, value)| !value.is_null() && names.contains(&plain(name).as_str()));
    found.map(|(_, value)| value)
}

/// As [`direct`], or anywhere inside.
fn inside<'a>(json: &'a Json, names: &[&str]) -> Option<&'a Json> {
    if let Some(found) = direct(json, names) {
        return Some(alone(found));
    }
    match json {
        Json::Object(object) => object.values().find_map(|value| inside(value, names)),
        Json::Array(values) => values.iter().find_map(|value| inside(value, names)),
        _ => None,
    }
}

fn alone(json: &Json) -> &Json {
    match json {
        Json::Array(values) if values.len() == 1 => &values[0],
        other => other,
    }
}

fn entries(json: &Json) -> Vec<&Json> {
    match json {
        Json::Array(values) => values.iter().collect(),
        other => vec![other],
    }
}

fn string(json: &Json, names: &[&str]) -> Option<String> {
    direct(json, names).and_then(text_of)
}

fn string_inside(json: &Json, names: &[&str]) -> Option<String> {
    inside(json, names).and_then(text_of)
}

/// A text, also where CloudFormation puts it together by `Fn::Join` or `Fn::Sub`.
fn text_of(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Array(values) if values.len() == 1 => text_of(&values[0]),
        Json::Object(object) => {
            if let Some(Json::Array(join)) = object.get("Fn::Join") {
                let [Json::String(separator), Json::Array(parts)] = &join[..] else { return None };
                let parts: Option<Vec<String>> = parts.iter().map(text_of).collect();
                return parts.map(|parts| parts.join(separator));
            }
            match object.get("Fn::Sub")? {
                Json::String(text) if !text.contains("${") => Some(text.clone()),
                _ => None,
            }
        }
        _ => None,
    }
}

fn code_of(application: &Json) -> Result<String, DefinitionError> {
    if let Some(code) = direct(application, &["code"]) {
        return text_of(code).ok_or(DefinitionError::Wrong {
            what: "the application's code",
            reason: "it is put together from other values; write it out".to_owned(),
        });
    }
    if let Some(text) = string_inside(application, &["textcontent"]) {
        return Ok(text);
    }
    if inside(application, &["s3contentlocation"]).is_some() {
        return Err(DefinitionError::Wrong {
            what: "the application's code",
            reason: "it is in S3; run the SQL file itself".to_owned(),
        });
    }
    Err(DefinitionError::Missing { what: "code" })
}

fn schema_of(json: &Json) -> Result<Schema, DefinitionError> {
    let wrong = |reason: String| DefinitionError::Wrong { what: "input schema", reason };
    let columns =
        direct(json, &["recordcolumn"]).ok_or_else(|| wrong("without RecordColumns".to_owned()))?;
    let mut read = Vec::new();
    for column in entries(columns) {
        let name =
            string(column, &["name"]).ok_or_else(|| wrong("a column has no name".to_owned()))?;
        let sql_type = string(column, &["sqltype"])
            .ok_or_else(|| wrong(format!("column {name} has no SqlType")))?;
        let sql_type =
            sql_type.parse().map_err(|error| wrong(format!("column {name}: {error}")))?;
        let mapping = string(column, &["mapping"]).filter(|mapping| !mapping.is_empty());
        read.push(Column { name, sql_type, mapping, nullable: true });
    }
    let is_csv = match string_inside(json, &["recordformattype"]) {
        Some(kind) => kind.eq_ignore_ascii_case("CSV"),
        None => inside(json, &["recordcolumndelimiter"]).is_some(),
    };
    let format = if is_csv {
        let delimiter = |names: &[&str], default: &str| {
            string_inside(json, names).unwrap_or_else(|| default.to_owned())
        };
        for column in &mut read {
            column.mapping = None;
        }
        RecordFormat::Csv {
            row_delimiter: delimiter(&["recordrowdelimiter"], "\n"),
            column_delimiter: delimiter(&["recordcolumndelimiter"], ","),
        }
    } else {
        let row_path = string_inside(json, &["recordrowpath"]);
        RecordFormat::Json { row_path: row_path.unwrap_or_else(|| "$".to_owned()) }
    };
    let schema = Schema { columns: read, format };
    schema.validate().map_err(|error| wrong(error.to_string()))?;
    Ok(schema)
}

fn output_of(json: &Json) -> Result<DefinedOutput, DefinitionError> {
    let stream =
        string(json, &["name"]).ok_or(DefinitionError::Missing { what: "output's name" })?;
    let format = string_inside(json, &["recordformattype"]).unwrap_or_else(|| "JSON".to_owned());
    Ok(DefinedOutput { stream, arn: string_inside(json, ARN).unwrap_or_default(), format })
}

fn reference_of(json: &Json) -> Result<DefinedReference, DefinitionError> {
    let schema = inside(json, &["referenceschema", "schema"])
        .ok_or(DefinitionError::Missing { what: "reference schema" })?;
    let table = string(json, &["tablename"]);
    Ok(DefinedReference {
        table: table.ok_or(DefinitionError::Missing { what: "reference table's name" })?,
        schema: schema_of(schema)?,
        bucket_arn: string_inside(json, &["bucketarn"]).unwrap_or_default(),
        key: string_inside(json, &["filekey"]).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"RecordColumns":[{"Name":"v","SqlType":"DOUBLE","Mapping":"$.v"}],
        "RecordFormat":{"RecordFormatType":"JSON","MappingParameters":
        {"JSONMappingParameters":{"RecordRowPath":"$"}}},"RecordEncoding":"UTF-8"}"#;

    fn expect(text: &str) {
        let found = Definition::read(text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!((found.name.as_str(), found.code.as_str()), ("app", "CREATE ..;"));
        assert_eq!(found.source, "SOURCE_SQL_STREAM_001");
        assert_eq!(found.schema.columns[0].name, "v");
        assert_eq!(found.schema.columns[0].mapping.as_deref(), Some("$.v"));
        assert_eq!(found.schema.format, RecordFormat::json());
        assert_eq!(found.input_arn, "arn:in");
        let output = &found.outputs[..];
        let [DefinedOutput { stream, arn, format }] = output else { panic!("{output:?}") };
        assert_eq!((stream.as_str(), arn.as_str(), format.as_str()), ("OUT", "arn:out", "CSV"));
        let [reference] = &found.references[..] else { panic!("{:?}", found.references) };
        assert_eq!((reference.table.as_str(), reference.key.as_str()), ("T", "t.csv"));
        assert_eq!(reference.schema.columns[0].name, "v");
    }

    #[test]
    fn what_version_1_of_the_api_prints_is_read() {
        expect(&format!(
            r#"{{"ApplicationDetail":{{"ApplicationName":"app","ApplicationCode":"CREATE ..;",
            "InputDescriptions":[{{"InputId":"1.1","NamePrefix":"SOURCE_SQL_STREAM",
              "KinesisStreamsInputDescription":{{"ResourceARN":"arn:in","RoleARN":"arn:role"}},
              "InputSchema":{SCHEMA},"InputParallelism":{{"Count":1}}}}],
            "OutputDescriptions":[{{"Name":"OUT","KinesisFirehoseOutputDescription":
              {{"ResourceARN":"arn:out"}},"DestinationSchema":{{"RecordFormatType":"CSV"}}}}],
            "ReferenceDataSourceDescriptions":[{{"TableName":"T","S3ReferenceDataSourceDescription":
              {{"BucketARN":"arn:b","FileKey":"t.csv"}},"ReferenceSchema":{SCHEMA}}}]}}}}"#
        ));
    }

    #[test]
    fn what_version_2_of_the_api_prints_is_read() {
        expect(&format!(
            r#"{{"ApplicationDetail":{{"ApplicationARN":"arn:app","ApplicationName":"app",
            "ApplicationConfigurationDescription":{{
              "ApplicationCodeConfigurationDescription":{{"CodeContentType":"PLAINTEXT",
                "CodeContentDescription":{{"TextContent":"CREATE ..;"}}}},
              "SqlApplicationConfigurationDescription":{{
                "InputDescriptions":[{{"NamePrefix":"SOURCE_SQL_STREAM","InputSchema":{SCHEMA},
                  "KinesisStreamsInputDescription":{{"ResourceARN":"arn:in"}}}}],
                "OutputDescriptions":[{{"Name":"OUT","KinesisStreamsOutputDescription":
                  {{"ResourceARN":"arn:out"}},"DestinationSchema":{{"RecordFormatType":"CSV"}}}}],
                "ReferenceDataSourceDescriptions":[{{"TableName":"T",
                  "S3ReferenceDataSourceDescription":{{"BucketARN":"arn:b","FileKey":"t.csv"}},
                  "ReferenceSchema":{SCHEMA}}}]}}}}}}}}"#
        ));
    }

    #[test]
    fn a_cloudformation_template_is_read_with_its_resources() {
        expect(&format!(
            r#"{{"Resources":{{"A":{{"Type":"AWS::KinesisAnalytics::Application","Properties":{{
              "ApplicationName":"app","ApplicationCode":{{"Fn::Join":["",["CREATE ","..;"]]}},
              "Inputs":[{{"NamePrefix":"SOURCE_SQL_STREAM","InputSchema":{SCHEMA},
              "KinesisStreamsInput":{{"ResourceARN":"arn:in"}}}}]}}}},
            "O":{{"Type":"AWS::KinesisAnalytics::ApplicationOutput","Properties":{{
              "ApplicationName":"app","Output":{{"Name":"OUT","DestinationSchema":
              {{"RecordFormatType":"CSV"}},"LambdaOutput":{{"ResourceARN":"arn:out"}}}}}}}},
            "R":{{"Type":"AWS::KinesisAnalytics::ApplicationReferenceDataSource","Properties":{{
              "ApplicationName":"app","ReferenceDataSource":{{"TableName":"T",
              "S3ReferenceDataSource":{{"BucketARN":"arn:b","FileKey":"t.csv"}},
              "ReferenceSchema":{SCHEMA}}}}}}}}}}}"#
        ));
    }

    #[test]
    fn a_cloudformation_template_in_yaml_is_read() {
        let columns = "RecordColumns: [{Name: v, SqlType: DOUBLE, Mapping: $.v}]";
        let format = "RecordFormat: {RecordFormatType: JSON}";
        expect(&format!(
            "Resources:\n  A:\n    Type: AWS::KinesisAnalytics::Application\n    Properties:\n\
             \x20     ApplicationName: app\n      ApplicationCode: !Sub CREATE ..;\n\
             \x20     Inputs:\n      - NamePrefix: SOURCE_SQL_STREAM\n\
             \x20       KinesisStreamsInput: {{ResourceARN: 'arn:in', RoleARN: !GetAtt R.Arn}}\n\
             \x20       InputSchema: {{{columns}, {format}}}\n\
             \x20 O:\n    Type: AWS::KinesisAnalytics::ApplicationOutput\n    Properties:\n\
             \x20     Output: {{Name: OUT, DestinationSchema: {{RecordFormatType: CSV}},\n\
             \x20       KinesisStreamsOutput: {{ResourceARN: 'arn:out'}}}}\n\
             \x20 R:\n    Type: AWS::KinesisAnalytics::ApplicationReferenceDataSource\n\
             \x20   Properties:\n      ReferenceDataSource:\n        TableName: T\n\
             \x20       S3ReferenceDataSource: {{BucketARN: 'arn:b', FileKey: t.csv}}\n\
             \x20       ReferenceSchema: {{{columns}, {format}}}\n"
        ));
    }

    #[test]
    fn a_terraform_plan_is_read() {
        let columns = r#"[{"name":"v","sql_type":"DOUBLE","mapping":"$.v"}]"#;
        let format = r#"[{"mapping_parameters":[{"csv":[],"json":[{"record_row_path":"$"}]}],
            "record_format_type":"JSON"}]"#;
        let schema = format!(r#"[{{"record_columns":{columns},"record_format":{format}}}]"#);
        expect(&format!(
            r#"{{"format_version":"1.2","planned_values":{{"root_module":{{"resources":[
            {{"address":"a","type":"aws_kinesis_analytics_application","values":{{
              "name":"app","code":"CREATE ..;","inputs":[{{"name_prefix":"SOURCE_SQL_STREAM",
                "kinesis_stream":[{{"resource_arn":"arn:in"}}],"schema":{schema}}}],
              "outputs":[{{"name":"OUT","schema":[{{"record_format_type":"CSV"}}],
                "kinesis_stream":[{{"resource_arn":"arn:out"}}]}}],
              "reference_data_sources":[{{"table_name":"T","s3":[{{"bucket_arn":"arn:b",
                "file_key":"t.csv"}}],"schema":{schema}}}]}}}}]}}}}}}"#
        ));
    }

    #[test]
    fn a_preprocessing_function_is_found_and_missing_parts_are_named() {
        let with = |input: &str| {
            Definition::read(&format!(
                r#"{{"ApplicationDetail":{{"ApplicationName":"app","ApplicationCode":"CREATE ..;",
                "InputDescriptions":[{input}]}}}}"#
            ))
        };
        let found = with(&format!(
            r#"{{"NamePrefix":"S","InputSchema":{SCHEMA},"InputProcessingConfigurationDescription":
            {{"InputLambdaProcessorDescription":{{"ResourceARN":"arn:fn"}}}}}}"#
        ));
        assert_eq!(found.expect("it is whole").preprocessing_arn.as_deref(), Some("arn:fn"));
        let missing = |what| Err(DefinitionError::Missing { what });
        assert_eq!(with(r#"{"NamePrefix":"S"}"#), missing("input schema"));
        assert_eq!(with(r#"{"A":1}"#), missing("NamePrefix"));
        assert_eq!(Definition::read("{}"), Err(DefinitionError::NoApplication));
        assert_eq!(Definition::read("CREATE"), Err(DefinitionError::NoApplication));
        let broken = Definition::read("{\"a\":");
        assert!(matches!(broken, Err(DefinitionError::Unreadable { .. })), "{broken:?}");
    }
}
