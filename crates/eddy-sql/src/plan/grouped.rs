//! GROUP BY, DISTINCT and stagger windows.

use sqlparser::ast::{Expr, GroupByExpr, OrderBy, Select};

use super::select::{Item, Value, calls, exprs, is_plain_aggregate, item_values, select_place};
use super::{Planned, Planner, unmade};
use crate::error::SqlError;
use crate::expr::time::Step;
use crate::expr::{Aggregate, Translator, Typed, argument_exprs, function_name, place_of};
use crate::parse::{Stagger, cased};
use crate::run::{Filter, Node, Staggered, TimeSort, Tumble};
use crate::scope::{Field, ROWTIME, Scope};
use crate::types::Type;
use datafusion_common::ScalarValue;

/// What a window is made of.
enum Window {
    Tumbling(Typed, Step),
    Stagger(i64),
}

impl Planner<'_> {
    pub(super) fn grouped(
        &mut self,
        select: &Select,
        items: &[Item<'_>],
        from: Planned,
        order_by: Option<&OrderBy>,
    ) -> Result<Planned, SqlError> {
        let Planned { node, scope } = self.promoted(select, from)?;
        let place = select_place(select);
        let before = self.translator(&scope);
        let stagger = self.marks.staggers.get(&place);
        let key_exprs = key_exprs(select, items, stagger, &before)?;
        let is_distinct = key_exprs.is_empty() && select.distinct.is_some();
        let keys: Vec<Typed> = if is_distinct {
            item_values(items, &before)?
        } else {
            key_exprs.iter().map(|key| before.expr(key)).collect::<Result<_, _>>()?
        };
        let window = match stagger {
            Some(stagger) => Window::Stagger(range_of(stagger, &before)?),
            None => {
                let candidates: Vec<&Expr> =
                    if is_distinct { exprs(items).collect() } else { key_exprs.clone() };
                self.tumbling(&candidates, &before, place, is_distinct)?
            }
        };
        let order_exprs = order_by.into_iter().flat_map(|order_by| match &order_by.kind {
            sqlparser::ast::OrderByKind::Expressions(terms) => terms.as_slice(),
            sqlparser::ast::OrderByKind::All(_) => &[],
        });
        let asked = exprs(items).chain(&select.having).chain(order_exprs.map(|term| &term.expr));
        let called = calls(asked, &is_plain_aggregate);
        let mut aggregates = Vec::new();
        for (expr, function) in &called {
            aggregates.push(Aggregate::of(function, &before, place_of(expr))?);
        }
        let waits = match &window {
            Window::Tumbling(_, step) => Some(*step),
            // A group leaves that long after its first row, whatever its key.
            Window::Stagger(_) => None,
        };
        let key_steps: Vec<Option<Step>> = keys
            .iter()
            .enumerate()
            .map(|(idx, key)| {
                let own = match key.column_idx() {
                    Some(column_idx) => scope.step(column_idx),
                    None => {
                        let expr = match (is_distinct, items.get(idx).map(|item| item.value)) {
                            (false, _) => *key_exprs.get(idx)?,
                            (true, Some(Value::Expr(expr))) => expr,
                            (true, _) => return None,
                        };
                        self.monotonic(expr, &before).map(|(_, step)| step)
                    }
                };
                own.filter(|_| key.sql_type == Type::Timestamp)?.coarser(waits?)
            })
            .collect();
        let after = grouped_scope(&keys, &key_steps, &aggregates);
        let of_column = |aggregate: &Aggregate| {
            let aggregate = aggregate.clone();
            move |column: Typed| aggregate.result(column)
        };
        let results: Vec<_> = aggregates.iter().map(of_column).collect();
        let schema = scope.arrow_schema();
        let grouped = match window {
            Window::Tumbling(time, step) => {
                Tumble::new(time, step, keys.clone(), aggregates, schema)
                    .map(|tumble| Node::apply(tumble, node))
            }
            Window::Stagger(range_ms) => {
                let time = scope.rowtime();
                Staggered::new(time, range_ms, keys.clone(), aggregates, schema)
                    .map(|stagger| Node::apply(stagger, node))
            }
        };
        let mut node = grouped.map_err(|error| unmade(place, "GROUP BY", &error))?;
        // What is a key or an aggregate is a column now; other columns are gone.
        let key_idx = |expr: &Expr| {
            let typed = before.expr(expr).ok()?;
            keys.iter().position(|key| key.expr.eq(&typed.expr))
        };
        let lookup = |expr: &Expr| {
            if let Some(known) = called.iter().position(|(known, _)| *known == expr) {
                return Some(Ok(results[known](after.column(keys.len() + known))));
            }
            if let Some(key_idx) = key_idx(expr) {
                return Some(Ok(after.column(key_idx)));
            }
            let name = match expr {
                Expr::Identifier(ident) => ident,
                Expr::CompoundIdentifier(parts) => parts.last()?,
                _ => return None,
            };
            if cased(&name.value, name.quote_style) == ROWTIME {
                return Some(Ok(after.rowtime()));
            }
            // No column but a constant, such as CURRENT_TIMESTAMP, or the group's own ROWTIME.
            if matches!(expr, Expr::Identifier(_))
                && before.scope.resolve(std::slice::from_ref(name)).is_err()
            {
                return None;
            }
            Some(before.expr(expr).and_then(|_| {
                let problem = "neither grouped by nor inside an aggregate";
                Err(SqlError::new(place_of(expr), format!("column {name}"), problem)
                    .instead("add it to GROUP BY, or take FIRST_VALUE or MAX of it"))
            }))
        };
        let translator = self.translator(&after).with_lookup(&lookup);
        if let Some(having) = &select.having {
            let condition = translator.condition(having, "HAVING")?;
            node = Node::apply(Filter::new(condition, after.arrow_schema()), node);
        }
        let is_window = |expr: &Expr| {
            self.monotonic(expr, &before).is_some() && key_idx(expr).is_some()
                || matches!(expr, Expr::Identifier(ident) if cased(&ident.value, ident.quote_style) == ROWTIME)
        };
        let node = self.order(order_by, items, &translator, node, Some(&is_window))?;
        if is_distinct {
            // The keys are the select list.
            let starred: Vec<Item<'_>> = items
                .iter()
                .enumerate()
                .map(|(idx, item)| Item {
                    name: item.name.clone(),
                    value: Value::Column(idx),
                    is_named: false,
                })
                .collect();
            return self.project(&starred, &translator, node);
        }
        if let Some(Item { value: Value::Column(_), name, .. }) =
            items.iter().find(|item| matches!(item.value, Value::Column(_)))
        {
            return Err(SqlError::new(place, "*", "cannot stand beside GROUP BY").instead(
                format!("name the columns that are grouped by (not \"{name}\" and all)"),
            ));
        }
        self.project(items, &translator, node)
    }

    /// `GROUP BY FLOOR(MONOTONIC(t) TO MINUTE)`: the text says that a column grows, so it becomes the
    /// rows' time, and what is behind it is late.
    fn promoted(&self, select: &Select, from: Planned) -> Result<Planned, SqlError> {
        let GroupByExpr::Expressions(keys, _) = &select.group_by else { return Ok(from) };
        let Planned { node, mut scope } = from;
        for (expr, function) in calls(keys, &|function| function_name(function) == "MONOTONIC") {
            let [argument] = argument_exprs(function, place_of(expr))?[..] else { continue };
            let time = self.translator(&scope).expr(argument)?;
            let column_idx = time.column_idx().filter(|_| time.sql_type == Type::Timestamp);
            let Some(column_idx) = column_idx.filter(|idx| scope.step(*idx).is_none()) else {
                continue;
            };
            let node = Node::apply(TimeSort::new(time, 0, scope.arrow_schema()), node);
            scope.fields.iter_mut().for_each(|field| field.step = None);
            scope.fields[column_idx].step = Some(Step::Ms(1));
            return Ok(Planned { node, scope });
        }
        Ok(Planned { node, scope })
    }

    /// The key that rounds the time down.
    fn tumbling(
        &self,
        candidates: &[&Expr],
        before: &Translator<'_>,
        place: crate::error::Place,
        is_distinct: bool,
    ) -> Result<Window, SqlError> {
        let steps = candidates.iter().filter_map(|expr| self.monotonic(expr, before));
        // ROWTIME itself beside a step: the step is the window.
        let mut steps: Vec<(Typed, Step)> = steps.collect();
        if is_distinct && steps.iter().any(|(_, step)| *step != Step::Ms(1)) {
            steps.retain(|(_, step)| *step != Step::Ms(1));
        }
        let shortest = steps.into_iter().min_by_key(|(_, step)| match step {
            Step::Ms(ms) => *ms,
            Step::Week => 7 * 86_400_000,
            Step::Months(months) => i64::from(*months) * 28 * 86_400_000,
        });
        let construct = if is_distinct { "DISTINCT" } else { "GROUP BY" };
        let (time, step) = shortest.ok_or_else(|| {
            SqlError::new(place, construct, "without a window, no row would ever leave").instead(
                if is_distinct {
                    "select a window beside: FLOOR(s.ROWTIME TO MINUTE)"
                } else {
                    "group by a window: STEP(s.ROWTIME BY INTERVAL '60' SECOND), or use WINDOWED BY STAGGER"
                },
            )
        })?;
        Ok(Window::Tumbling(time, step))
    }
}

fn key_exprs<'e>(
    select: &'e Select,
    items: &[Item<'e>],
    stagger: Option<&'e Stagger>,
    before: &Translator<'_>,
) -> Result<Vec<&'e Expr>, SqlError> {
    let keys = match &select.group_by {
        GroupByExpr::Expressions(keys, _) => keys.as_slice(),
        GroupByExpr::All(_) => &[],
    };
    if let Some(stagger) = stagger {
        if !keys.is_empty() {
            return Err(SqlError::unsupported(stagger.place, "WINDOWED BY beside GROUP BY")
                .instead("the keys of a stagger window stand in its PARTITION BY"));
        }
        return Ok(stagger.partition_by.iter().collect());
    }
    let resolved = keys.iter().map(|key| {
        // The name of an item, where no column has that name but one that the original has not.
        if let Expr::Identifier(ident) = key
            && (before.expr(key).is_err() || before.scope.is_extension(ident))
        {
            let wanted = cased(&ident.value, ident.quote_style);
            let item = items.iter().find(|item| item.is_named && item.name == wanted);
            if let Some(Item { value: Value::Expr(expr), .. }) = item {
                return *expr;
            }
        }
        key
    });
    Ok(resolved.collect())
}

fn range_of(stagger: &Stagger, before: &Translator<'_>) -> Result<i64, SqlError> {
    let range = before.expr(&stagger.range)?;
    match (range.sql_type, range.constant()) {
        (Type::Interval(_), Some(ScalarValue::Int64(Some(ms)))) if *ms > 0 => Ok(*ms),
        _ => Err(SqlError::new(
            stagger.place,
            "WINDOWED BY STAGGER",
            "its RANGE is a constant interval above 0, of days to seconds",
        )),
    }
}

/// The rows of groups: keys, then aggregates, by names that nobody can write.
fn grouped_scope(keys: &[Typed], steps: &[Option<Step>], aggregates: &[Aggregate]) -> Scope {
    let keys = keys.iter().zip(steps).enumerate().map(|(idx, (key, step))| Field {
        step: *step,
        ..Field::new(format!("\0key {idx}"), key.sql_type)
    });
    let aggregates = aggregates.iter().enumerate();
    let aggregates =
        aggregates.map(|(idx, it)| Field::new(format!("\0aggregate {idx}"), it.sql_type));
    Scope::of(None, keys.chain(aggregates).collect(), false)
}
