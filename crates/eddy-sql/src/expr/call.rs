//! Calls of functions by name. A name alone says little: each function here does what the SQL
//! Reference says of it, whatever DataFusion's function of that name does.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, TimestampMillisecondType};
use datafusion_common::{Result as DataResult, ScalarValue};
use datafusion_expr::Operator;
use datafusion_functions::{core, math, string, unicode};
use sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::arithmetic::in_range;
use super::datetime_text::Format;
use super::udf::{call, failed, map_text, texts};
use super::{Translator, Typed, is_aggregate, place_of};
use crate::error::{Place, SqlError};
use crate::types::{Type, Unit};

/// A function's name in upper case.
pub(crate) fn function_name(function: &Function) -> String {
    let last = function.name.0.last().and_then(|part| part.as_ident());
    last.map_or_else(String::new, |ident| ident.value.to_uppercase())
}

/// The arguments of a call as expressions; `*` and named arguments are refused.
pub(crate) fn argument_exprs(function: &Function, place: Place) -> Result<Vec<&Expr>, SqlError> {
    let FunctionArguments::List(list) = &function.args else { return Ok(Vec::new()) };
    let each = |argument| match argument {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expr)) => Ok(expr),
        other => Err(SqlError::unsupported(place, format!("argument {other}"))),
    };
    list.args.iter().map(each).collect()
}

/// A TIMESTAMP's milliseconds since 1970.
fn unix_timestamp(time: Typed) -> Typed {
    call("unix timestamp", Type::BigInt, vec![time], |args| {
        Ok(arrow::compute::cast(&args[0], &DataType::Int64)?)
    })
}

impl Translator<'_> {
    /// Functions without parentheses, and those that take none.
    pub(super) fn niladic(&self, name: &str) -> Option<Typed> {
        let start_ms = self.environment.start_ms;
        let day_ms = 86_400_000;
        Some(match name.to_ascii_uppercase().as_str() {
            "CURRENT_TIMESTAMP" | "LOCALTIMESTAMP" | "NOW" => Typed::literal(
                ScalarValue::TimestampMillisecond(Some(start_ms), None),
                Type::Timestamp,
            ),
            "CURRENT_DATE" => {
                let day = i32::try_from(start_ms.div_euclid(day_ms)).ok();
                Typed::literal(ScalarValue::Date32(day), Type::Date)
            }
            "CURRENT_TIME" | "LOCALTIME" => {
                let ms = i32::try_from(start_ms.rem_euclid(day_ms)).ok();
                Typed::literal(ScalarValue::Time32Millisecond(ms), Type::Time)
            }
            "CURRENT_ROW_TIMESTAMP" => self.scope.rowtime(),
            _ => return None,
        })
    }

    pub(super) fn function(&self, function: &Function, whole: &Expr) -> Result<Typed, SqlError> {
        let place = place_of(whole);
        let name = function_name(function);
        if function.over.is_some() {
            return Err(SqlError::unsupported(place, format!("{name} OVER here"))
                .instead("analytic functions stand in the select list"));
        }
        if is_aggregate(&name) {
            return Err(SqlError::new(place, name, "an aggregate needs GROUP BY, or OVER")
                .instead("group by a window: GROUP BY STEP(s.ROWTIME BY INTERVAL '60' SECOND)"));
        }
        if let FunctionArguments::List(list) = &function.args
            && (list.duplicate_treatment.is_some() || !list.clauses.is_empty())
        {
            return Err(SqlError::unsupported(place, format!("{name}(DISTINCT ..)")));
        }
        if super::is_log_parser(&name) {
            return Err(SqlError::new(place, name, "it makes several columns").instead(
                "give them a name in a subquery: (SELECT STREAM .. AS r FROM ..) AS t, and write t.r.COLUMN1",
            ));
        }
        let args = argument_exprs(function, place)?;
        if args.is_empty()
            && let Some(constant) = self.niladic(&name)
        {
            return Ok(constant);
        }
        let expected = |n_args: usize| {
            if args.len() == n_args {
                return Ok(());
            }
            let problem = format!("{n_args} arguments are needed, there are {}", args.len());
            Err(SqlError::new(place, name.clone(), problem))
        };
        match name.as_str() {
            "STEP" => self.step(&args, place),
            "INTERVAL_SECOND" => self.qualified(&args, Unit::Second, place),
            "INTERVAL_MINUTE" => self.qualified(&args, Unit::Minute, place),
            "INTERVAL_HOUR" => self.qualified(&args, Unit::Hour, place),
            "INTERVAL_DAY" => self.qualified(&args, Unit::Day, place),
            "INTERVAL_MONTH" | "INTERVAL_YEAR" => self.qualified(&args, Unit::Month, place),
            "MONOTONIC" => {
                expected(1)?;
                self.expr(args[0])
            }
            "UPPER" | "LOWER" | "INITCAP" => {
                expected(1)?;
                let text = self.text_of(args[0], &name)?;
                let sql_type = text.sql_type;
                let library = match name.as_str() {
                    "UPPER" => string::upper(),
                    "LOWER" => string::lower(),
                    _ => unicode::initcap(),
                };
                Ok(Typed { sql_type, ..self.library(library, vec![text], place)? })
            }
            "CHAR_LENGTH" | "CHARACTER_LENGTH" => {
                expected(1)?;
                let text = self.text_of(args[0], &name)?;
                let length = self.library(unicode::character_length(), vec![text], place)?;
                self.cast_to(length, Type::Integer, place, &name)
            }
            "SUBSTRING" | "SUBSTR" => match args[..] {
                [text, from] => self.substring(text, Some(from), None),
                [text, from, length] => self.substring(text, Some(from), Some(length)),
                _ => Err(SqlError::new(place, name, "2 or 3 arguments are needed")),
            },
            "TRIM" | "BTRIM" => {
                expected(1)?;
                self.trim(None, None, args[0])
            }
            "CONCAT" => self.concat(&args, place),
            "REGEX_REPLACE" => self.regex_replace(&args, place),
            "ABS" | "EXP" | "LN" | "LOG10" | "POWER" | "SQRT" | "MOD" => {
                self.math(&name, &args, place)
            }
            "ROUND" => {
                expected(1)?;
                let number = self.expr(args[0])?;
                match number.sql_type {
                    it if it.is_integer() => Ok(number),
                    _ => self.cast_to(number, Type::BigInt, place, &name),
                }
            }
            "COALESCE" | "NVL" | "IFNULL" => self.coalesce(&args, place),
            "NULLIF" => {
                expected(2)?;
                self.nullif(args[0], args[1], place)
            }
            "GREATEST" | "LEAST" => self.extreme(&args, &name, place),
            "UNIX_TIMESTAMP" => {
                expected(1)?;
                Ok(unix_timestamp(self.time_of(args[0], &name)?))
            }
            "TO_TIMESTAMP" => {
                expected(1)?;
                self.to_timestamp(args[0], place)
            }
            "TSDIFF" => {
                expected(2)?;
                let ms = |expr: &Expr| {
                    let typed = self.expr(expr)?;
                    if typed.sql_type.is_time() {
                        let time = self.cast_to(typed, Type::Timestamp, place, "TSDIFF")?;
                        return Ok(unix_timestamp(time));
                    }
                    self.cast_to(typed, Type::BigInt, place, "TSDIFF")
                };
                let (start, end) = (ms(args[0])?, ms(args[1])?);
                let minus = sqlparser::ast::BinaryOperator::Minus;
                // The Reference writes `e - s`, but published applications that ran give the later time
                // first and take the result for a duration: the distance serves both.
                self.library(math::abs(), vec![self.arithmetic(end, &minus, start, place)?], place)
            }
            "CHAR_TO_TIMESTAMP" | "CHAR_TO_DATE" | "CHAR_TO_TIME" => {
                expected(2)?;
                let to = match name.as_str() {
                    "CHAR_TO_TIMESTAMP" => Type::Timestamp,
                    "CHAR_TO_DATE" => Type::Date,
                    _ => Type::Time,
                };
                self.char_to_time(args[0], args[1], to, &name)
            }
            "TIMESTAMP_TO_CHAR" | "DATE_TO_CHAR" | "TIME_TO_CHAR" => {
                expected(2)?;
                self.time_to_char(args[0], args[1], &name)
            }
            "RANDOM_CUT_FOREST"
            | "RANDOM_CUT_FOREST_WITH_EXPLANATION"
            | "TOP_K_ITEMS_TUMBLING"
            | "COUNT_DISTINCT_ITEMS_TUMBLING"
            | "HOTSPOTS" => {
                Err(SqlError::new(place, name.clone(), "a table function stands in FROM")
                    .instead(format!("write FROM TABLE({name}(CURSOR(SELECT STREAM ..)))")))
            }
            _ => Err(SqlError::new(place, format!("function {name}"), "not known")),
        }
    }

    fn time_of(&self, expr: &Expr, construct: &str) -> Result<Typed, SqlError> {
        let typed = self.expr(expr)?;
        self.cast_to(typed, Type::Timestamp, place_of(expr), construct)
    }

    fn to_timestamp(&self, arg: &Expr, place: Place) -> Result<Typed, SqlError> {
        let typed = self.expr(arg)?;
        if typed.sql_type.is_text() {
            return self.cast_to(typed, Type::Timestamp, place, "TO_TIMESTAMP");
        }
        let ms = self.cast_to(typed, Type::BigInt, place, "TO_TIMESTAMP")?;
        Ok(call("to timestamp", Type::Timestamp, vec![ms], |args| {
            Ok(arrow::compute::cast(&args[0], &Type::Timestamp.arrow())?)
        }))
    }

    fn format(&self, arg: &Expr, construct: &str) -> Result<Format, SqlError> {
        let place = place_of(arg);
        let typed = self.text_of(arg, construct)?;
        let text = typed.constant_text().ok_or_else(|| {
            SqlError::unsupported(place, format!("{construct} with a computed format"))
                .instead("write the format as a literal")
        })?;
        Format::read(text).map_err(|problem| SqlError::new(place, construct, problem))
    }

    fn char_to_time(
        &self,
        format: &Expr,
        text: &Expr,
        to: Type,
        construct: &str,
    ) -> Result<Typed, SqlError> {
        let place = place_of(text);
        let format_place = place_of(format);
        let format = self.format(format, construct)?;
        let text = self.text_of(text, construct)?;
        self.read_times(format, format_place, text, to, (place, construct))
    }

    /// Times of texts in a format.
    pub(super) fn read_times(
        &self,
        format: Format,
        format_place: Place,
        text: Typed,
        to: Type,
        (place, construct): (Place, &str),
    ) -> Result<Typed, SqlError> {
        if format.has_week_year() {
            let problem = "the letter Y is the year of a week, which says no date";
            return Err(SqlError::new(format_place, construct, problem).instead("write y"));
        }
        let name = format!("read {format:?}");
        let time = call(name, Type::Timestamp, vec![text], move |args| {
            let read = |text: &str| {
                format
                    .parse(text)
                    .ok_or_else(|| failed(format!("{text:?} does not fit the format")))
            };
            let times = texts(&args[0])?.iter().map(|text| text.map(read).transpose());
            Ok(Arc::new(times.collect::<DataResult<TimestampMillisecondArray>>()?))
        });
        self.cast_to(time, to, place, construct)
    }

    fn time_to_char(&self, format: &Expr, time: &Expr, construct: &str) -> Result<Typed, SqlError> {
        let format = self.format(format, construct)?;
        let time = self.time_of(time, construct)?;
        let name = format!("write {format:?}");
        Ok(call(name, Type::Varchar(None), vec![time], move |args| {
            let times = args[0].as_primitive::<TimestampMillisecondType>();
            // The Reference: of NULL it makes the text "null".
            let written = times.iter().map(|ms| match ms {
                None => Ok(Some("null".to_owned())),
                Some(ms) => format.write(ms).map(Some).ok_or_else(|| failed("time out of range")),
            });
            Ok(Arc::new(written.collect::<DataResult<StringArray>>()?) as ArrayRef)
        }))
    }

    fn concat(&self, args: &[&Expr], place: Place) -> Result<Typed, SqlError> {
        let mut joined = Typed::text("");
        for arg in args {
            let text = self.text_of(arg, "CONCAT")?;
            joined = self.arithmetic(
                joined,
                &sqlparser::ast::BinaryOperator::StringConcat,
                text,
                place,
            )?;
        }
        Ok(joined)
    }

    /// `REGEX_REPLACE(text, pattern, replacement [, start [, occurrence]])`: occurrence 0, the
    /// default, replaces all.
    fn regex_replace(&self, args: &[&Expr], place: Place) -> Result<Typed, SqlError> {
        let name = "REGEX_REPLACE";
        if !(3..=5).contains(&args.len()) {
            return Err(SqlError::new(place, name, "3 to 5 arguments are needed"));
        }
        let text = self.text_of(args[0], name)?;
        let constant = |expr: &Expr| {
            let typed = self.text_of(expr, name)?;
            typed.constant_text().map(str::to_owned).ok_or_else(|| {
                SqlError::unsupported(place_of(expr), format!("{name} with a computed pattern"))
                    .instead("write pattern and replacement as literals")
            })
        };
        let number = |idx: usize, default: i64| match args.get(idx) {
            None => Ok(default),
            Some(expr) => self.expr(expr)?.constant_integer().ok_or_else(|| {
                SqlError::new(place_of(expr), name, "start and occurrence are constants")
            }),
        };
        let (source, replacement) = (constant(args[1])?, constant(args[2])?);
        let (start, occurrence) = (number(3, 1)?, number(4, 0)?);
        let pattern = super::java_pattern(&source, place_of(args[1]), name)?;
        // Java writes groups $1; so do we, but a letter behind the digit belongs to our name.
        let group = regex::Regex::new(r"\$(\d)").expect("a fixed pattern");
        let replacement = group.replace_all(&replacement, "$${$1}").into_owned();
        let key = format!("regex replace {source} {replacement} {start} {occurrence}");
        Ok(call(key, Type::Varchar(None), vec![text], move |args| {
            map_text(&args[0], |text| {
                let skipped = usize::try_from(start - 1).unwrap_or(0);
                let begin = text.char_indices().nth(skipped).map_or(text.len(), |(at, _)| at);
                let (head, tail) = text.split_at(begin);
                let replaced = match usize::try_from(occurrence - 1) {
                    Err(_) => pattern.replace_all(tail, replacement.as_str()).into_owned(),
                    Ok(nth) => match pattern.captures_iter(tail).nth(nth) {
                        None => tail.to_owned(),
                        Some(captures) => {
                            let whole = captures.get(0).expect("a match is a group");
                            let mut middle = String::new();
                            captures.expand(&replacement, &mut middle);
                            format!("{}{middle}{}", &tail[..whole.start()], &tail[whole.end()..])
                        }
                    },
                };
                Ok(Some(format!("{head}{replaced}").into()))
            })
        }))
    }

    fn math(&self, name: &str, args: &[&Expr], place: Place) -> Result<Typed, SqlError> {
        let wanted = if matches!(name, "POWER" | "MOD") { 2 } else { 1 };
        if args.len() != wanted {
            let problem = format!("{wanted} arguments are needed, there are {}", args.len());
            return Err(SqlError::new(place, name, problem));
        }
        let first = self.expr(args[0])?;
        if name == "MOD" {
            let second = self.expr(args[1])?;
            for it in [first.sql_type, second.sql_type] {
                if !it.is_integer() && it != Type::Null {
                    return Err(SqlError::new(place, name, format!("{it} is no integer type"))
                        .instead("CAST the arguments to INTEGER"));
                }
            }
            return self.arithmetic(first, &sqlparser::ast::BinaryOperator::Modulo, second, place);
        }
        if name == "ABS" {
            let first = match first.sql_type {
                it if it.is_numeric() => first,
                _ => self.cast_to(first, Type::Double, place, name)?,
            };
            return self.library(math::abs(), vec![first], place);
        }
        let double = |typed: Typed| self.cast_to(typed, Type::Double, place, name);
        let result = match name {
            "EXP" => self.library(math::exp(), vec![double(first)?], place)?,
            "LN" => self.library(math::ln(), vec![double(first)?], place)?,
            "LOG10" => self.library(math::log10(), vec![double(first)?], place)?,
            "SQRT" => self.library(math::sqrt(), vec![double(first)?], place)?,
            _ => {
                let second = double(self.expr(args[1])?)?;
                self.library(math::power(), vec![double(first)?, second], place)?
            }
        };
        Ok(call("in range", Type::Double, vec![result], |args| in_range(&args[0])))
    }

    /// Expressions of one type.
    fn alike(
        &self,
        args: &[&Expr],
        name: &str,
        place: Place,
    ) -> Result<(Vec<Typed>, Type), SqlError> {
        let typed = args.iter().map(|arg| self.expr(arg)).collect::<Result<Vec<_>, _>>()?;
        let mut common = Type::Null;
        for it in &typed {
            common = common.common(it.sql_type).ok_or_else(|| {
                SqlError::new(place, name, format!("{common} and {} differ", it.sql_type))
            })?;
        }
        if common == Type::Null {
            common = Type::Varchar(None);
        }
        let typed = typed
            .into_iter()
            .map(|it| self.cast_to(it, common, place, name))
            .collect::<Result<Vec<_>, _>>()?;
        if typed.is_empty() {
            return Err(SqlError::new(place, name, "without arguments"));
        }
        Ok((typed, common))
    }

    fn coalesce(&self, args: &[&Expr], place: Place) -> Result<Typed, SqlError> {
        let (mut typed, common) = self.alike(args, "COALESCE", place)?;
        let last = typed.pop().expect("alike returns at least one");
        let mut branches = Vec::new();
        for it in typed {
            let made = datafusion_physical_expr::expressions::is_not_null(it.expr.clone());
            let is_there = made.map_err(|error| super::wrong(place, "COALESCE", &error))?;
            branches.push((is_there, it.expr));
        }
        if branches.is_empty() {
            return Ok(last);
        }
        let made = datafusion_physical_expr::expressions::case(None, branches, Some(last.expr));
        let expr = made.map_err(|error| super::wrong(place, "COALESCE", &error))?;
        Ok(Typed { expr, sql_type: common })
    }

    fn nullif(&self, left: &Expr, right: &Expr, place: Place) -> Result<Typed, SqlError> {
        let (typed, other) = (self.expr(left)?, self.expr(right)?);
        let equal = self.compare(typed.clone(), Operator::Eq, other, place)?;
        let null = Typed::literal(ScalarValue::Null, Type::Null);
        let null = self.cast_to(null, typed.sql_type, place, "NULLIF")?;
        let branches = vec![(equal.expr, null.expr)];
        let made = datafusion_physical_expr::expressions::case(None, branches, Some(typed.expr));
        let expr = made.map_err(|error| super::wrong(place, "NULLIF", &error))?;
        Ok(Typed { expr, sql_type: typed.sql_type })
    }

    fn extreme(&self, args: &[&Expr], name: &str, place: Place) -> Result<Typed, SqlError> {
        let (typed, common) = self.alike(args, name, place)?;
        let library = if name == "GREATEST" { core::greatest() } else { core::least() };
        Ok(Typed { sql_type: common, ..self.library(library, typed, place)? })
    }
}
