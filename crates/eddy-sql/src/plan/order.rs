//! ORDER BY, and what in a query grows with the time.

use arrow::compute::SortOptions;
use sqlparser::ast::{
    BinaryOperator, CeilFloorKind, Expr, Function, OrderBy, OrderByExpr, OrderByKind,
};

use super::Planner;
use super::select::{Item, Value};
use crate::error::{Place, SqlError};
use crate::expr::time::{Step, step_of};
use crate::expr::{Translator, Typed, argument_exprs, function_name, place_of};
use crate::parse::cased;
use crate::run::{Node, Sort, TimeSort, Within};
use crate::scope::Scope;
use crate::types::{Type, Unit};
use datafusion_common::ScalarValue;

impl Planner<'_> {
    /// An expression that rounds the rows' time down: the time that it rounds, and to what. Steps
    /// that are no multiples of each other share no windows.
    pub(super) fn monotonic(
        &self,
        expr: &Expr,
        translator: &Translator<'_>,
    ) -> Option<(Typed, Step)> {
        let time = |expr: &Expr| {
            let typed = translator.expr(expr).ok()?;
            let is_time = typed.sql_type == Type::Timestamp;
            let column_idx = typed.column_idx().filter(|_| is_time)?;
            let step = translator.scope.step(column_idx)?;
            Some((typed, step))
        };
        match expr {
            Expr::Nested(inner) => self.monotonic(inner, translator),
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => time(expr),
            Expr::Floor { expr: inner, field: CeilFloorKind::DateTimeField(unit) } => {
                let unit = Unit::of(&unit.to_string())?;
                if let Some((typed, step)) = self.monotonic(inner, translator) {
                    return Some((typed, step.coarser(Step::of(unit))?));
                }
                let ((typed, step), divided_by) = since_1970(inner, translator, &time)?;
                let rounded = Step::Ms(unit.ms()?.checked_mul(divided_by)?);
                Some((typed, step.coarser(rounded)?))
            }
            Expr::Function(function) => match function_name(function).as_str() {
                "MONOTONIC" => {
                    let args = argument_exprs(function, place_of(expr)).ok()?;
                    self.monotonic(args.first()?, translator)
                }
                "STEP" => {
                    let args = argument_exprs(function, place_of(expr)).ok()?;
                    let [inner, by] = args[..] else { return None };
                    let (typed, step) = self.monotonic(inner, translator)?;
                    let by = step_of(&translator.expr(by).ok()?)?;
                    Some((typed, step.coarser(by)?))
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// ORDER BY: the first term is time; within it, the others sort. `grouped` is the column that
    /// holds the window of grouped rows.
    pub(super) fn order(
        &self,
        order_by: Option<&OrderBy>,
        items: &[Item<'_>],
        translator: &Translator<'_>,
        node: Node,
        grouped: Option<&dyn Fn(&Expr) -> bool>,
    ) -> Result<Node, SqlError> {
        let Some(order_by) = order_by else { return Ok(node) };
        let terms = terms(order_by)?;
        let first = terms.first().expect("ORDER BY has a term");
        let first_expr = of_item(&first.expr, items);
        let place = place_of(first_expr);
        let (time, within) = if grouped.is_some_and(|is_window| is_window(first_expr)) {
            (translator.expr(first_expr)?, Within::Window)
        } else {
            let (time, step) = self.monotonic(first_expr, translator).ok_or_else(|| {
                SqlError::unsupported(place, "ORDER BY that does not begin with time")
                    .instead("write ORDER BY FLOOR(\"STREAM\".ROWTIME TO SECOND), ..")
            })?;
            (crate::expr::time::stepped(time, step, false), Within::Step(step))
        };
        if first.options.asc == Some(false) {
            return Err(SqlError::unsupported(place, "ORDER BY time DESC")
                .instead("rows leave as time goes on: leave DESC out"));
        }
        // An interval (of the idiom with SECOND / 10) is no time, but it is the window's.
        let time = match time.sql_type {
            Type::Timestamp => time,
            _ => translator.scope.rowtime(),
        };
        let mut keys = Vec::new();
        // Rows of one step may differ in the term itself.
        let own = translator.expr(first_expr)?;
        let waits = |column_idx| translator.scope.step(column_idx) != Some(Step::Ms(1));
        if matches!(within, Within::Step(_)) && own.column_idx().is_some_and(waits) {
            keys.push((own, SortOptions { descending: false, nulls_first: false }));
        }
        for term in &terms[1..] {
            let ascending = term.options.asc.unwrap_or(true);
            let options = SortOptions {
                descending: !ascending,
                // NULL is above every value.
                nulls_first: term.options.nulls_first.unwrap_or(!ascending),
            };
            let typed = match ordinal(&term.expr, items) {
                Some(Value::Column(column_idx)) => translator.scope.column(column_idx),
                Some(Value::Expr(expr)) => translator.expr(expr)?,
                None => translator.expr(of_item(&term.expr, items))?,
            };
            keys.push((typed, options));
        }
        let sort = Sort::new(within, time, keys, translator.scope.arrow_schema());
        Ok(Node::apply(sort, node))
    }

    /// `ORDER BY t WITHIN INTERVAL ..`.
    pub(super) fn time_sort(
        &self,
        order_by: Option<&OrderBy>,
        within: &Expr,
        scope: &Scope,
        node: Node,
        place: Place,
    ) -> Result<Node, SqlError> {
        let wrong = |problem: &str| {
            SqlError::new(place, "ORDER BY .. WITHIN", problem)
                .instead("write ORDER BY t WITHIN INTERVAL '1' MINUTE")
        };
        let translator = self.translator(scope);
        let terms = terms(order_by.ok_or_else(|| wrong("without ORDER BY"))?)?;
        let [term] = &terms[..] else { return Err(wrong("one column is needed")) };
        if term.options.asc == Some(false) {
            return Err(wrong("times ascend"));
        }
        let time = translator.expr(&term.expr)?;
        let time = translator.cast_to(time, Type::Timestamp, place_of(&term.expr), "ORDER BY")?;
        let interval = translator.expr(within)?;
        match (interval.sql_type, interval.constant()) {
            (Type::Interval(_), Some(ScalarValue::Int64(Some(ms)))) if *ms >= 0 => {
                Ok(Node::apply(TimeSort::new(time, *ms, scope.arrow_schema()), node))
            }
            _ => Err(wrong("the interval is a constant of days to seconds")),
        }
    }
}

fn terms(order_by: &OrderBy) -> Result<Vec<&OrderByExpr>, SqlError> {
    match &order_by.kind {
        OrderByKind::Expressions(terms) => Ok(terms.iter().collect()),
        OrderByKind::All(_) => Err(SqlError::unsupported(Place::default(), "ORDER BY ALL")),
    }
}

/// A term that is the name of an item stands for the item.
fn of_item<'e>(term: &'e Expr, items: &'e [Item<'_>]) -> &'e Expr {
    if let Some(Value::Expr(expr)) = ordinal(term, items) {
        return expr;
    }
    let Expr::Identifier(ident) = term else { return term };
    let wanted = cased(&ident.value, ident.quote_style);
    let named = items.iter().find(|item| item.is_named && item.name == wanted);
    match named.map(|item| item.value) {
        Some(Value::Expr(expr)) => expr,
        _ => term,
    }
}

/// `ORDER BY 2`.
fn ordinal<'e>(term: &Expr, items: &[Item<'e>]) -> Option<Value<'e>> {
    let Expr::Value(value) = term else { return None };
    let sqlparser::ast::Value::Number(digits, _) = &value.value else { return None };
    let nth: usize = digits.parse().ok()?;
    items.get(nth.checked_sub(1)?).map(|item| item.value)
}

/// `(s.ROWTIME - TIMESTAMP '1970-01-01 00:00:00') SECOND / 10`: the time, and what it is divided by.
fn since_1970(
    expr: &Expr,
    translator: &Translator<'_>,
    time: &dyn Fn(&Expr) -> Option<(Typed, Step)>,
) -> Option<((Typed, Step), i64)> {
    match expr {
        Expr::Nested(inner) => since_1970(inner, translator, time),
        Expr::BinaryOp { left, op: BinaryOperator::Divide, right } => {
            let (typed, divided_by) = since_1970(left, translator, time)?;
            let by = translator.expr(right).ok()?.constant_integer().filter(|by| *by > 0)?;
            Some((typed, divided_by.checked_mul(by)?))
        }
        Expr::Function(function) if function_name(function).starts_with("INTERVAL_") => {
            difference(function, translator, time).map(|typed| (typed, 1))
        }
        _ => None,
    }
}

fn difference(
    function: &Function,
    translator: &Translator<'_>,
    time: &dyn Fn(&Expr) -> Option<(Typed, Step)>,
) -> Option<(Typed, Step)> {
    let args = argument_exprs(function, Place::default()).ok()?;
    let Expr::BinaryOp { left, op: BinaryOperator::Minus, right } = args.first()? else {
        return None;
    };
    let since = translator.expr(right).ok()?;
    let is_1970 = match since.constant()? {
        ScalarValue::TimestampMillisecond(ms, _) => *ms == Some(0),
        ScalarValue::Date32(day) => *day == Some(0),
        _ => false,
    };
    let inner = if let Expr::Nested(inner) = left.as_ref() { inner } else { left };
    if is_1970 { time(inner) } else { None }
}
