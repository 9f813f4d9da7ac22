//! Functions in FROM: `TABLE(RANDOM_CUT_FOREST(CURSOR(SELECT STREAM ..), ..))`.

use datafusion_common::ScalarValue;
use eddy_detect::{ANOMALY_EXPLANATION, ANOMALY_GRADE, ANOMALY_SCORE, ANOMALY_THRESHOLD};
use rcf::ForestSettings;
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query, Spanned,
};

use super::{Planned, Planner, unmade};
use crate::error::{Place, SqlError};
use crate::expr::{Typed, cast, function_name, place_of};
use crate::parse::cased;
use crate::run::{
    Explains, Forests, HotspotSettings, Hotspots, Items, MAX_RESULT_CHARS, Node, Tells,
};
use crate::scope::{Field, Scope};
use crate::types::Type;

/// The column that HOTSPOTS adds.
const HOTSPOTS_RESULT: &str = "HOTSPOTS_RESULT";

/// The arguments of a table function.
struct Cursor<'m> {
    /// The cursor's rows.
    planned: Planned,
    /// The constants behind it.
    constants: Vec<(Typed, Place)>,
    /// `PARTITION BY` behind the cursor.
    partition_by: Option<&'m Vec<Expr>>,
}

impl Cursor<'_> {
    /// A parameter that is an integer of a range, if it is there.
    fn integer(
        &self,
        name: &str,
        idx: usize,
        called: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Result<Option<i64>, SqlError> {
        let Some((typed, place)) = self.constants.get(idx) else { return Ok(None) };
        let found = typed.constant_integer().filter(|number| range.contains(number));
        found.map(Some).ok_or_else(|| {
            let problem = format!("{called} is an integer of {}..={}", range.start(), range.end());
            SqlError::new(*place, name, problem)
        })
    }

    fn refuse_partition(&self, name: &str) -> Result<(), SqlError> {
        match self.partition_by.and_then(|keys| keys.first()) {
            None => Ok(()),
            Some(key) => {
                Err(SqlError::unsupported(place_of(key), format!("PARTITION BY in {name}"))
                    .instead("only the forest functions have it"))
            }
        }
    }
}

fn count(number: i64) -> usize {
    usize::try_from(number).expect("the ranges begin at 1")
}

impl<'a> Planner<'a> {
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
            "HOTSPOTS" => self.hotspots(function, &name, place),
            "GROUP_RANK" => Err(SqlError::unsupported(place, name).instead(
                "write ORDER BY FLOOR(\"STREAM\".ROWTIME TO SECOND), value DESC, or use TOP_K_ITEMS_TUMBLING",
            )),
            _ => Err(SqlError::new(place, format!("table function {name}"), "not known")),
        }
    }

    fn cursor(
        &mut self,
        function: &Function,
        name: &str,
        place: Place,
    ) -> Result<Cursor<'a>, SqlError> {
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
        let partition_by = self.marks.partitions.get(&cursor_place(query));
        Ok(Cursor { planned, constants, partition_by })
    }

    fn forest(
        &mut self,
        function: &Function,
        name: &str,
        with_explanation: bool,
        place: Place,
    ) -> Result<Planned, SqlError> {
        let cursor = self.cursor(function, name, place)?;
        let most = if with_explanation { 5 } else { 4 };
        if let Some((_, place)) = cursor.constants.get(most) {
            let problem = format!("at most {most} parameters stand behind the cursor");
            return Err(SqlError::new(*place, name, problem));
        }
        // Ranges of the SQL Reference.
        let parameter = |idx: usize, called: &str, default: i64, range| {
            Ok::<_, SqlError>(cursor.integer(name, idx, called, range)?.unwrap_or(default))
        };
        let trees = parameter(0, "numberOfTrees", 100, 1..=1000)?;
        let sample = parameter(1, "subSampleSize", 256, 10..=1000)?;
        let decay = parameter(2, "timeDecay", 100_000, 1..=2_147_483_647)?;
        let shingle = parameter(3, "shingleSize", 1, 1..=30)?;
        let directions = match cursor.constants.get(4) {
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
        let Cursor { planned: Planned { node, scope }, partition_by: keys, .. } = cursor;
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
        let translator = self.translator(&scope);
        let keys = keys.into_iter().flatten().map(|key| translator.expr(key));
        let partition_by = keys.collect::<Result<_, _>>()?;
        let schema = scope.arrow_schema();
        let tells = (explains, self.marks.names_grades);
        let forests = Forests::new(settings, tells, point, partition_by, schema)
            .map_err(|error| unmade(place, name, &error))?;
        let mut fields = scope.fields;
        fields.push(Field::new(ANOMALY_SCORE, Type::Double));
        if with_explanation {
            fields.push(Field::new(ANOMALY_EXPLANATION, Type::Varchar(Some(20_480))));
        }
        if self.marks.names_grades {
            // An extension: no part of `*`, so that what was written without them stays as it is.
            let grades = [ANOMALY_GRADE, ANOMALY_THRESHOLD];
            fields.extend(grades.map(|name| Field {
                hidden: true,
                extension: true,
                ..Field::new(name, Type::Double)
            }));
        }
        let node = Node::apply(forests, node);
        Ok(Planned { node, scope: Scope::of(None, fields, false) })
    }

    fn hotspots(
        &mut self,
        function: &Function,
        name: &str,
        place: Place,
    ) -> Result<Planned, SqlError> {
        let cursor = self.cursor(function, name, place)?;
        cursor.refuse_partition(name)?;
        if cursor.constants.len() != 3 {
            let problem = "3 parameters stand behind the cursor: windowSize, scanRadius, \
                           minimumNumberOfPointsInAHotspot";
            return Err(SqlError::new(place, name, problem));
        }
        let window = cursor.integer(name, 0, "windowSize", 2..=1000)?.expect("there are three");
        let least = cursor.integer(name, 2, "minimumNumberOfPointsInAHotspot", 2..=window)?;
        let (radius, radius_place) = &cursor.constants[1];
        let radius = cast(radius.clone(), Type::Double).and_then(|typed| typed.constant_double());
        let scan_radius = radius
            .filter(|it| *it > 0.0 && it.is_finite())
            .ok_or_else(|| SqlError::new(*radius_place, name, "scanRadius is a number above 0"))?;
        let settings = HotspotSettings {
            window_rows: count(window),
            scan_radius,
            min_points: count(least.expect("there are three")),
        };
        let Planned { node, scope } = cursor.planned;
        let point = self.point(&scope, name, place)?;
        let columns = point.into_iter().map(|(column_idx, _)| column_idx).collect();
        let mut fields = scope.fields;
        let length = u32::try_from(MAX_RESULT_CHARS).expect("it is small");
        fields.push(Field::new(HOTSPOTS_RESULT, Type::Varchar(Some(length))));
        let node = Node::apply(Hotspots::new(settings, columns), node);
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
        let cursor = self.cursor(function, name, place)?;
        cursor.refuse_partition(name)?;
        let wanted = if is_top { 3 } else { 2 };
        if cursor.constants.len() != wanted {
            let how = if is_top { "'column', k, seconds" } else { "'column', seconds" };
            let problem = format!("{wanted} parameters stand behind the cursor: {how}");
            return Err(SqlError::new(place, name, problem));
        }
        let integer = |idx: usize, called: &str, most: i64| {
            let found = cursor.integer(name, idx, called, 1..=most)?;
            Ok::<_, SqlError>(found.expect("the parameters were counted"))
        };
        let (column, column_place) = &cursor.constants[0];
        let column = column.constant_text().ok_or_else(|| {
            SqlError::new(*column_place, name, "the column's name stands in single quotes")
        })?;
        let scope = &cursor.planned.scope;
        let column_idx = column_named(scope, column).ok_or_else(|| {
            let names: Vec<&str> = scope.fields.iter().map(|field| field.name.as_str()).collect();
            let problem = format!("no column {column}; there are: {}", names.join(", "));
            SqlError::new(*column_place, name, problem)
        })?;
        let tells =
            if is_top { Tells::Top(count(integer(1, "k", 100_000)?)) } else { Tells::HowMany };
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
        let node = Node::apply(items, cursor.planned.node);
        Ok(Planned { node, scope: Scope::of(None, fields, false) })
    }
}

/// The place of a cursor's SELECT.
fn cursor_place(query: &Query) -> Place {
    match query.body.as_ref() {
        sqlparser::ast::SetExpr::Select(select) => super::select::select_place(select),
        body => body.span().start.into(),
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
