//! Functions in FROM: `TABLE(RANDOM_CUT_FOREST(CURSOR(SELECT STREAM ..), ..))`.

use datafusion_common::ScalarValue;
use rcf::ForestSettings;
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Spanned,
};

use super::{Planned, Planner, unmade};
use crate::error::{Place, SqlError};
use crate::expr::{Typed, cast, function_name, place_of};
use crate::parse::cased;
use crate::run::{Explains, Forests, Items, Node, Tells};
use crate::scope::{Field, Scope};
use crate::types::Type;

/// The columns that the forest functions add.
const ANOMALY_SCORE: &str = "ANOMALY_SCORE";
const ANOMALY_EXPLANATION: &str = "ANOMALY_EXPLANATION";

/// The arguments of a table function.
struct Cursor<'f> {
    /// The cursor's rows.
    planned: Planned,
    /// The constants behind it.
    constants: Vec<(Typed, Place)>,
    query: &'f Query,
}

impl Planner<'_> {
    pub(super) fn table_function(&mut self, expr: &Expr) -> Result<Planned, SqlError> {
        let place = place_of(expr);
        let Expr::Function(function) = expr else {
            return Err(SqlError::new(place, "TABLE", "a function is needed")
                .instead("write TABLE(RANDOM_CUT_FOREST(CURSOR(SELECT STREAM ..)))"));
        };
        let name = function_name(function);
        match name.as_str() {
            "RANDOM_CUT_FOREST" => self.forest(function, &name, false, place),
            "RANDOM_CUT_FOREST_WITH_EXPLANATION" => self.forest(function, &name, true, place),
            "TOP_K_ITEMS_TUMBLING" => self.items(function, &name, true, place),
            "COUNT_DISTINCT_ITEMS_TUMBLING" => self.items(function, &name, false, place),
            "HOTSPOTS" => Err(SqlError::unsupported(place, name).instead(
                "how the original finds and bounds its hotspots is not published; score with \
                 RANDOM_CUT_FOREST, or count in cells by GROUP BY",
            )),
            "GROUP_RANK" => Err(SqlError::unsupported(place, name).instead(
                "write ORDER BY FLOOR(\"STREAM\".ROWTIME TO SECOND), value DESC, or use TOP_K_ITEMS_TUMBLING",
            )),
            _ => Err(SqlError::new(place, format!("table function {name}"), "not known")),
        }
    }

    fn cursor<'f>(
        &mut self,
        function: &'f Function,
        name: &str,
        place: Place,
    ) -> Result<Cursor<'f>, SqlError> {
        let wrong = || {
            SqlError::new(place, name, "its first argument is a cursor")
                .instead(format!("write {name}(CURSOR(SELECT STREAM ..), ..)"))
        };
        let FunctionArguments::List(list) = &function.args else { return Err(wrong()) };
        let mut args = list.args.iter().map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
            other => Err(SqlError::unsupported(place, format!("{name}({other})"))),
        });
        let query = match args.next().ok_or_else(wrong)?? {
            Expr::Function(cursor) if function_name(cursor) == "CURSOR" => match &cursor.args {
                FunctionArguments::Subquery(query) => query,
                _ => return Err(wrong()),
            },
            _ => return Err(wrong()),
        };
        let planned = self.query(query)?;
        let nothing = Scope::default();
        let mut constants = Vec::new();
        for arg in args {
            let arg = arg?;
            let typed = self.translator(&nothing).expr(arg)?;
            if typed.constant().is_none() {
                return Err(SqlError::new(place_of(arg), name, "parameters are constants"));
            }
            constants.push((typed, place_of(arg)));
        }
        Ok(Cursor { planned, constants, query })
    }

    fn forest(
        &mut self,
        function: &Function,
        name: &str,
        with_explanation: bool,
        place: Place,
    ) -> Result<Planned, SqlError> {
        let Cursor { planned, constants, query } = self.cursor(function, name, place)?;
        let Planned { node, scope } = planned;
        let most = if with_explanation { 5 } else { 4 };
        if constants.len() > most {
            let problem = format!("at most {most} parameters stand behind the cursor");
            return Err(SqlError::new(constants[most].1, name, problem));
        }
        // Ranges of the SQL Reference.
        let parameter =
            |idx: usize, called: &str, default: i64, range: std::ops::RangeInclusive<i64>| {
                let Some((typed, place)) = constants.get(idx) else { return Ok(default) };
                typed.constant_integer().filter(|number| range.contains(number)).ok_or_else(|| {
                    let problem =
                        format!("{called} is an integer of {}..={}", range.start(), range.end());
                    SqlError::new(*place, name, problem)
                })
            };
        let count = |number: i64| usize::try_from(number).expect("the ranges begin at 1");
        let trees = parameter(0, "numberOfTrees", 100, 1..=1000)?;
        let sample = parameter(1, "subSampleSize", 256, 10..=1000)?;
        let decay = parameter(2, "timeDecay", 100_000, 1..=2_147_483_647)?;
        let shingle = parameter(3, "shingleSize", 1, 1..=30)?;
        let directions = match constants.get(4) {
            None => false,
            Some((typed, place)) => match typed.constant() {
                Some(ScalarValue::Boolean(Some(truth))) => *truth,
                _ => {
                    return Err(SqlError::new(*place, name, "withDirectionality is TRUE or FALSE"));
                }
            },
        };
        let explains = match (with_explanation, directions) {
            (false, _) => Explains::Nothing,
            (true, false) => Explains::Scores,
            (true, true) => Explains::Directions,
        };
        let point = self.point(&scope, name, place)?;
        let mut settings = ForestSettings::new(point.len());
        settings.n_trees = count(trees);
        settings.sample_size = count(sample);
        #[expect(clippy::cast_precision_loss, reason = "at most 2^31")]
        let rate = 1.0 / decay as f64;
        settings.time_decay = Some(rate);
        settings.shingle_size = count(shingle);
        settings.seed = self.seed;
        settings.build().map_err(|error| SqlError::new(place, name, error.to_string()))?;
        let select_place = match query.body.as_ref() {
            sqlparser::ast::SetExpr::Select(select) => super::select::select_place(select),
            body => body.span().start.into(),
        };
        let mut partition_by = Vec::new();
        if let Some(keys) = self.marks.partitions.get(&select_place) {
            let translator = self.translator(&scope);
            for key in keys {
                partition_by.push(translator.expr(key)?);
            }
        }
        let schema = scope.arrow_schema();
        let forests = Forests::new(settings, explains, point, partition_by, schema)
            .map_err(|error| unmade(place, name, &error))?;
        let mut fields = scope.fields;
        fields.push(Field::new(ANOMALY_SCORE, Type::Double));
        if with_explanation {
            fields.push(Field::new(ANOMALY_EXPLANATION, Type::Varchar(Some(20_480))));
        }
        let node = Node::apply(forests, node);
        Ok(Planned { node, scope: Scope::of(None, fields, false) })
    }

    /// The numeric columns of a cursor, in order.
    fn point(
        &mut self,
        scope: &Scope,
        name: &str,
        place: Place,
    ) -> Result<Vec<(usize, String)>, SqlError> {
        let mut point = Vec::new();
        for (column_idx, field) in scope.fields.iter().enumerate() {
            if matches!(field.sql_type, Type::Decimal { .. }) {
                let construct = format!("{name} over \"{}\"", field.name);
                let problem = format!("the original refuses {}", field.sql_type);
                return Err(SqlError::new(place, construct, problem)
                    .instead(format!("write CAST(\"{}\" AS DOUBLE) in the cursor", field.name)));
            }
            if !field.sql_type.is_numeric() {
                continue;
            }
            let lower = field.name.to_lowercase();
            let sounds_like_time = ["time", "epoch", "date", "created"];
            if field.sql_type == Type::BigInt
                && sounds_like_time.iter().any(|it| lower.contains(it))
            {
                self.warnings.push(format!(
                    "line {}: {name}: \"{}\" looks like a time stamp and is part of the point; \
                     select the columns that are to be scored",
                    place.line, field.name
                ));
            }
            point.push((column_idx, field.name.clone()));
        }
        if point.is_empty() {
            return Err(SqlError::new(place, name, "the cursor has no numeric column")
                .instead("select a DOUBLE or INTEGER column, or CAST one"));
        }
        Ok(point)
    }

    fn items(
        &mut self,
        function: &Function,
        name: &str,
        is_top: bool,
        place: Place,
    ) -> Result<Planned, SqlError> {
        let Cursor { planned, constants, .. } = self.cursor(function, name, place)?;
        let Planned { node, scope } = planned;
        let wanted = if is_top { 3 } else { 2 };
        if constants.len() != wanted {
            let how = if is_top { "'column', k, seconds" } else { "'column', seconds" };
            let problem = format!("{wanted} parameters stand behind the cursor: {how}");
            return Err(SqlError::new(place, name, problem));
        }
        let integer = |idx: usize, called: &str, most: i64| {
            let (typed, place) = &constants[idx];
            typed.constant_integer().filter(|it| (1..=most).contains(it)).ok_or_else(|| {
                SqlError::new(*place, name, format!("{called} is an integer of 1..={most}"))
            })
        };
        let column = constants[0].0.constant_text().ok_or_else(|| {
            SqlError::new(constants[0].1, name, "the column's name stands in single quotes")
        })?;
        let column_idx = column_named(&scope, column).ok_or_else(|| {
            let names: Vec<&str> = scope.fields.iter().map(|field| field.name.as_str()).collect();
            let problem = format!("no column {column}; there are: {}", names.join(", "));
            SqlError::new(constants[0].1, name, problem)
        })?;
        let tells = if is_top {
            Tells::Top(usize::try_from(integer(1, "k", 100_000)?).expect("it is at least 1"))
        } else {
            Tells::HowMany
        };
        let seconds = integer(wanted - 1, "the window's size", 3600)?;
        let item = cast(scope.column(column_idx), Type::Varchar(None))
            .ok_or_else(|| SqlError::new(place, name, "the column has no text"))?;
        let fields = match tells {
            Tells::Top(_) => vec![
                Field::new("ITEM", Type::Varchar(Some(1024))),
                Field::new("ITEM_COUNT", Type::Double),
            ],
            Tells::HowMany => vec![Field::new("NUMBER_OF_DISTINCT_ITEMS", Type::BigInt)],
        };
        let items = Items::new(item, tells, seconds * 1000, scope.arrow_schema());
        let node = Node::apply(items, node);
        Ok(Planned { node, scope: Scope::of(None, fields, false) })
    }
}

/// A column by the text of its name: as it is, in upper case, or in any case.
fn column_named(scope: &Scope, name: &str) -> Option<usize> {
    let name = name.trim_matches('"');
    let find =
        |wanted: &dyn Fn(&str) -> bool| scope.fields.iter().position(|field| wanted(&field.name));
    find(&|it| it == name)
        .or_else(|| find(&|it| it == cased(name, None)))
        .or_else(|| find(&|it| it.eq_ignore_ascii_case(name)))
}
