//! From sqlparser's expressions to DataFusion's, with the types and functions of the SQL Reference.
//!
//! Each expression is translated bottom-up into a physical expression and its type; conversions
//! that the language makes by itself are inserted as casts. Nothing here evaluates anything.

mod aggregate;
mod arithmetic;
mod call;
mod cast;
mod datetime_text;
mod logs;
mod operators;
mod spread;
mod text;
pub(crate) mod time;
mod udf;

use std::sync::Arc;

use arrow::datatypes::{Field as ArrowField, Schema, SchemaRef};
use datafusion_common::ScalarValue;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{Column, Literal};
use sqlparser::ast::{Expr, Ident, Spanned, Value};

pub(crate) use aggregate::{Aggregate, exp_avg, finite, is_aggregate};
pub(crate) use call::{argument_exprs, function_name};
pub(crate) use cast::{cast, cut};
pub(crate) use logs::is_log_parser;
pub(crate) use text::java_pattern;
pub(crate) use udf::failed;

use crate::error::{Place, SqlError};
use crate::scope::Scope;
use crate::types::Type;

/// An expression and its type.
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    pub(crate) expr: Arc<dyn PhysicalExpr>,
    pub(crate) sql_type: Type,
}

impl Typed {
    pub(crate) fn column(name: &str, column_idx: usize, sql_type: Type) -> Self {
        Self { expr: Arc::new(Column::new(name, column_idx)), sql_type }
    }

    pub(crate) fn literal(value: ScalarValue, sql_type: Type) -> Self {
        Self { expr: Arc::new(Literal::new(value)), sql_type }
    }

    pub(crate) fn text(text: impl Into<String>) -> Self {
        let text: String = text.into();
        let length = u32::try_from(text.chars().count().max(1)).unwrap_or(u32::MAX);
        Self::literal(ScalarValue::Utf8(Some(text)), Type::Varchar(Some(length)))
    }

    /// The constant that it is, if it is one.
    pub(crate) fn constant(&self) -> Option<&ScalarValue> {
        self.expr.downcast_ref::<Literal>().map(Literal::value)
    }

    pub(crate) fn constant_text(&self) -> Option<&str> {
        match self.constant()? {
            ScalarValue::Utf8(text) => text.as_deref(),
            _ => None,
        }
    }

    pub(crate) fn constant_integer(&self) -> Option<i64> {
        match self.constant()? {
            ScalarValue::Int32(number) => number.map(i64::from),
            ScalarValue::Int64(number) => *number,
            _ => None,
        }
    }

    pub(crate) fn constant_double(&self) -> Option<f64> {
        match self.constant()? {
            ScalarValue::Float64(number) => *number,
            _ => None,
        }
    }

    /// The same as the index of a column, if it is one.
    pub(crate) fn column_idx(&self) -> Option<usize> {
        self.expr.downcast_ref::<Column>().map(Column::index)
    }
}

/// What expressions see besides columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Environment {
    /// The application's start: what CURRENT_TIMESTAMP is.
    pub(crate) start_ms: i64,
}

/// Looks an expression up before it is translated: aggregates and window functions that have
/// become columns.
pub(crate) type Lookup<'a> = &'a dyn Fn(&Expr) -> Option<Result<Typed, SqlError>>;

/// Translates the expressions of one scope.
pub(crate) struct Translator<'a> {
    pub(crate) scope: &'a Scope,
    pub(crate) environment: Environment,
    pub(crate) lookup: Option<Lookup<'a>>,
    /// What functions are refused for here, such as "in WHERE".
    pub(crate) schema: SchemaRef,
}

pub(crate) fn place_of(expr: &Expr) -> Place {
    expr.span().start.into()
}

impl<'a> Translator<'a> {
    pub(crate) fn new(scope: &'a Scope, environment: Environment) -> Self {
        Self { scope, environment, lookup: None, schema: scope.arrow_schema() }
    }

    pub(crate) fn with_lookup(mut self, lookup: Lookup<'a>) -> Self {
        self.lookup = Some(lookup);
        self
    }

    /// Translates an expression.
    pub(crate) fn expr(&self, expr: &Expr) -> Result<Typed, SqlError> {
        if let Some(found) = self.lookup.and_then(|lookup| lookup(expr)) {
            return found;
        }
        match expr {
            Expr::Nested(inner) => self.expr(inner),
            Expr::Identifier(ident) => self.identifier(ident),
            Expr::CompoundIdentifier(parts) => self.scope.resolve(parts),
            Expr::Value(value) => self.value(&value.value, place_of(expr)),
            Expr::TypedString(typed) => {
                let text = match &typed.value.value {
                    Value::SingleQuotedString(text) => text.clone(),
                    other => other.to_string(),
                };
                self.typed_text(&typed.data_type.to_string(), &text, place_of(expr))
            }
            Expr::Interval(interval) => time::interval(interval, place_of(expr)),
            Expr::Cast { expr: inner, data_type, .. } => {
                let to = Type::parse(&data_type.to_string())
                    .map_err(|problem| SqlError::new(place_of(inner), "CAST", problem))?;
                let typed = self.expr(inner)?;
                self.cast_to(typed, to, place_of(inner), "CAST")
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), expr)
            }
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            Expr::UnaryOp { op, expr: inner } => self.unary(*op, inner),
            Expr::IsNull(inner) => self.is_null(inner, false),
            Expr::IsNotNull(inner) => self.is_null(inner, true),
            Expr::IsTrue(inner) => self.is_truth(inner, Some(true), false),
            Expr::IsNotTrue(inner) => self.is_truth(inner, Some(true), true),
            Expr::IsFalse(inner) => self.is_truth(inner, Some(false), false),
            Expr::IsNotFalse(inner) => self.is_truth(inner, Some(false), true),
            Expr::IsUnknown(inner) => self.is_truth(inner, None, false),
            Expr::IsNotUnknown(inner) => self.is_truth(inner, None, true),
            Expr::IsDistinctFrom(left, right) => self.distinct(left, right, true),
            Expr::IsNotDistinctFrom(left, right) => self.distinct(left, right, false),
            Expr::Between { expr: inner, negated, low, high } => {
                self.between(inner, *negated, low, high)
            }
            Expr::InList { expr: inner, list, negated } => self.in_list(inner, list, *negated),
            Expr::Like { negated, any: false, expr: inner, pattern, escape_char } => {
                self.like(inner, pattern, escape_char.as_ref(), *negated)
            }
            Expr::SimilarTo { negated, expr: inner, pattern, escape_char } => {
                self.similar(inner, pattern, escape_char.as_ref(), *negated)
            }
            Expr::Floor { expr: inner, field } => self.round(inner, field, false),
            Expr::Ceil { expr: inner, field } => self.round(inner, field, true),
            Expr::Extract { field, expr: inner, .. } => self.extract(field, inner),
            Expr::Position { expr: inner, r#in } => self.position(inner, r#in),
            Expr::Substring { expr: inner, substring_from, substring_for, .. } => {
                self.substring(inner, substring_from.as_deref(), substring_for.as_deref())
            }
            Expr::Trim { trim_where, trim_what, expr: inner, trim_characters: None } => {
                self.trim(*trim_where, trim_what.as_deref(), inner)
            }
            Expr::Overlay { expr: inner, overlay_what, overlay_from, overlay_for } => {
                self.overlay(inner, overlay_what, overlay_from, overlay_for.as_deref())
            }
            Expr::Function(function) => self.function(function, expr),
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
                Err(SqlError::unsupported(place_of(expr), "subquery in an expression")
                    .instead("write it as a JOIN"))
            }
            other => Err(SqlError::unsupported(place_of(other), shortened(&other.to_string()))),
        }
    }

    /// A condition.
    pub(crate) fn condition(&self, expr: &Expr, construct: &str) -> Result<Typed, SqlError> {
        let typed = self.expr(expr)?;
        match typed.sql_type {
            Type::Boolean => Ok(typed),
            Type::Null => self.cast_to(typed, Type::Boolean, place_of(expr), construct),
            other => Err(SqlError::new(
                place_of(expr),
                construct,
                format!("a condition is BOOLEAN, this is {other}"),
            )),
        }
    }

    pub(crate) fn cast_to(
        &self,
        typed: Typed,
        to: Type,
        place: Place,
        construct: &str,
    ) -> Result<Typed, SqlError> {
        let from = typed.sql_type;
        cast(typed, to).ok_or_else(|| {
            SqlError::new(place, construct, format!("there is no conversion from {from} to {to}"))
        })
    }

    /// A DataFusion function, its arguments of the types that it wants.
    pub(crate) fn library(
        &self,
        function: Arc<datafusion_expr::ScalarUDF>,
        args: Vec<Typed>,
        place: Place,
    ) -> Result<Typed, SqlError> {
        let name = function.name().to_uppercase();
        let args = args.into_iter().map(|arg| arg.expr).collect();
        let made = datafusion_physical_expr::ScalarFunctionExpr::try_new(
            function,
            args,
            &self.schema,
            udf::config(),
        );
        let expr = made.map_err(|error| wrong(place, name.clone(), &error))?;
        let sql_type = Type::from_arrow(expr.return_type())
            .ok_or_else(|| SqlError::unsupported(place, name))?;
        Ok(Typed { expr: Arc::new(expr), sql_type })
    }

    fn identifier(&self, ident: &Ident) -> Result<Typed, SqlError> {
        if ident.quote_style.is_none()
            && let Some(constant) = self.niladic(&ident.value)
            && self.scope.resolve(std::slice::from_ref(ident)).is_err()
        {
            return Ok(constant);
        }
        self.scope.resolve(std::slice::from_ref(ident))
    }

    fn value(&self, value: &Value, place: Place) -> Result<Typed, SqlError> {
        match value {
            Value::Number(digits, _) => number(digits, place),
            Value::SingleQuotedString(text) | Value::UnicodeStringLiteral(text) => {
                Ok(Typed::text(text.clone()))
            }
            Value::Boolean(truth) => {
                Ok(Typed::literal(ScalarValue::Boolean(Some(*truth)), Type::Boolean))
            }
            Value::Null => Ok(Typed::literal(ScalarValue::Null, Type::Null)),
            other => Err(SqlError::unsupported(place, format!("literal {other}"))),
        }
    }

    /// `TIMESTAMP '..'`, `DATE '..'`, `TIME '..'`.
    fn typed_text(&self, data_type: &str, text: &str, place: Place) -> Result<Typed, SqlError> {
        let wrong = || SqlError::new(place, format!("{data_type} '{text}'"), "cannot be read");
        let to = Type::parse(data_type).map_err(|_| wrong())?;
        let ms = match to {
            Type::Time => eddy_record::parse_timestamp_ms(&format!("1970-01-01 {text}")),
            Type::Timestamp | Type::Date => eddy_record::parse_timestamp_ms(text),
            _ => None,
        };
        let ms = ms.ok_or_else(wrong)?;
        let value = match to {
            Type::Timestamp => ScalarValue::TimestampMillisecond(Some(ms), None),
            Type::Date => ScalarValue::Date32(i32::try_from(ms.div_euclid(86_400_000)).ok()),
            _ => ScalarValue::Time32Millisecond(i32::try_from(ms).ok()),
        };
        Ok(Typed::literal(value, to))
    }
}

/// An integer is INTEGER or, where it is too large, BIGINT; with a point it is DECIMAL, with an
/// exponent DOUBLE.
fn number(digits: &str, place: Place) -> Result<Typed, SqlError> {
    let wrong = || SqlError::new(place, format!("number {digits}"), "out of range");
    if digits.contains(['e', 'E']) {
        let number: f64 = digits.parse().map_err(|_| wrong())?;
        return Ok(Typed::literal(ScalarValue::Float64(Some(number)), Type::Double));
    }
    if let Some((whole, fraction)) = digits.split_once('.') {
        let unscaled = format!("{whole}{fraction}");
        let scale = i8::try_from(fraction.len()).map_err(|_| wrong())?;
        let unscaled: i128 =
            if unscaled.is_empty() { 0 } else { unscaled.parse().map_err(|_| wrong())? };
        let n_digits = unscaled.to_string().len().max(fraction.len()).max(1);
        if n_digits > 38 {
            return Err(wrong());
        }
        let precision = u8::try_from(n_digits).map_err(|_| wrong())?;
        let value = ScalarValue::Decimal128(Some(unscaled), precision, scale);
        return Ok(Typed::literal(value, Type::Decimal { precision, scale }));
    }
    if let Ok(number) = digits.parse::<i32>() {
        return Ok(Typed::literal(ScalarValue::Int32(Some(number)), Type::Integer));
    }
    let number: i64 = digits.parse().map_err(|_| wrong())?;
    Ok(Typed::literal(ScalarValue::Int64(Some(number)), Type::BigInt))
}

pub(crate) fn wrong(
    place: Place,
    construct: impl Into<String>,
    error: &datafusion_common::DataFusionError,
) -> SqlError {
    SqlError::new(place, construct, error.strip_backtrace())
}

/// A construct's text, short enough for a message.
pub(crate) fn shortened(text: &str) -> String {
    let one_line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if one_line.chars().count() <= 40 { one_line } else { format!("{}..", cut(&one_line, 38)) }
}

/// The Arrow schema of columns in order.
pub(crate) fn arrow_schema(types: impl IntoIterator<Item = Type>) -> SchemaRef {
    let fields: Vec<ArrowField> = types
        .into_iter()
        .enumerate()
        .map(|(idx, sql_type)| ArrowField::new(format!("c{idx}"), sql_type.arrow(), true))
        .collect();
    Arc::new(Schema::new(fields))
}
