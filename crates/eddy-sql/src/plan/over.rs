//! OVER and WINDOW.

use datafusion_common::ScalarValue;
use sqlparser::ast::{
    Expr, Function, FunctionArgumentClause, FunctionArguments, NamedWindowExpr, NullTreatment,
    Select, WindowFrameBound, WindowFrameUnits, WindowSpec, WindowType,
};

use super::{Planner, unmade};
use crate::error::{Place, SqlError};
use crate::expr::{
    Aggregate, Translator, Typed, argument_exprs, exp_avg, finite, function_name, is_aggregate,
    place_of,
};
use crate::parse::cased;
use crate::run::{Frame, Node, Over, OverWindow};
use crate::scope::{Field, Scope};
use crate::types::Type;

impl Planner<'_> {
    /// Adds a column for each of the calls, and returns what stands for the calls then.
    pub(super) fn over(
        &self,
        called: &[(&Expr, &Function)],
        select: &Select,
        scope: &mut Scope,
        mut node: Node,
    ) -> Result<(Node, Vec<Typed>), SqlError> {
        // Calls over the same window are worked out together.
        let mut windows: Vec<(WindowSpec, Vec<usize>)> = Vec::new();
        for (call_idx, (expr, function)) in called.iter().enumerate() {
            let window = function.over.as_ref().expect("these calls have OVER");
            let spec = resolve(window, select, place_of(expr))?;
            match windows.iter_mut().find(|(known, _)| *known == spec) {
                Some((_, calls)) => calls.push(call_idx),
                None => windows.push((spec, vec![call_idx])),
            }
        }
        let mut columns = vec![None; called.len()];
        for (spec, calls) in windows {
            let place = place_of(called[calls[0]].0);
            let translator = self.translator(scope);
            let frame = frame(&spec, &translator, place)?;
            let partition_by: Vec<Typed> = spec
                .partition_by
                .iter()
                .map(|key| translator.expr(key))
                .collect::<Result<_, _>>()?;
            let mut functions = Vec::new();
            for call_idx in &calls {
                let (expr, function) = called[*call_idx];
                functions.push(over_function(function, frame, &translator, place_of(expr))?);
            }
            let schema = scope.arrow_schema();
            for (call_idx, function) in calls.iter().zip(&functions) {
                let field = Field::new(format!("\0over {call_idx}"), function.sql_type());
                scope.fields.push(Field { hidden: true, ..field });
                let column = scope.column(scope.fields.len() - 1);
                columns[*call_idx] = Some(match function {
                    Over::Aggregate(aggregate) => aggregate.result(column),
                    Over::ExpAvg { .. } => finite(column),
                    _ => column,
                });
            }
            let window = OverWindow::new(frame, partition_by, functions, schema)
                .map_err(|error| unmade(place, "OVER", &error))?;
            node = Node::apply(window, node);
        }
        let columns = columns.into_iter().map(|column| column.expect("each call is in a window"));
        Ok((node, columns.collect()))
    }

    /// The window of a relation in FROM.
    pub(super) fn relation_frame(
        &self,
        window: &WindowType,
        select: &Select,
        place: Place,
    ) -> Result<Frame, SqlError> {
        let spec = resolve(window, select, place)?;
        if !spec.partition_by.is_empty() {
            return Err(SqlError::unsupported(place, "PARTITION BY in a window of FROM"));
        }
        let nothing = Scope::default();
        frame(&spec, &self.translator(&nothing), place)
    }
}

fn resolve(window: &WindowType, select: &Select, place: Place) -> Result<WindowSpec, SqlError> {
    match window {
        WindowType::WindowSpec(spec) if spec.window_name.is_none() => Ok(spec.clone()),
        WindowType::WindowSpec(_) => {
            Err(SqlError::unsupported(place, "window that refines another")
                .instead("write the window out"))
        }
        WindowType::NamedWindow(name) => {
            let wanted = cased(&name.value, name.quote_style);
            let named = select
                .named_window
                .iter()
                .find(|definition| cased(&definition.0.value, definition.0.quote_style) == wanted);
            match named.map(|definition| &definition.1) {
                Some(NamedWindowExpr::WindowSpec(spec)) if spec.window_name.is_none() => {
                    Ok(spec.clone())
                }
                Some(_) => Err(SqlError::unsupported(place, "window that names another")
                    .instead("write the window out")),
                None => Err(SqlError::new(place, format!("window {wanted}"), "not defined")
                    .instead("define it: WINDOW W1 AS (RANGE INTERVAL '1' MINUTE PRECEDING)")),
            }
        }
    }
}

fn frame(spec: &WindowSpec, translator: &Translator<'_>, place: Place) -> Result<Frame, SqlError> {
    if !spec.order_by.is_empty() {
        return Err(SqlError::unsupported(place, "ORDER BY inside OVER")
            .instead("leave it out: the rows of a stream are in order of time"));
    }
    let Some(frame) = &spec.window_frame else { return Ok(Frame::Unbounded) };
    if !matches!(frame.end_bound, None | Some(WindowFrameBound::CurrentRow)) {
        return Err(SqlError::unsupported(place, "window that does not end at the current row")
            .instead("end it at CURRENT ROW"));
    }
    let amount = match &frame.start_bound {
        WindowFrameBound::Preceding(None) => return Ok(Frame::Unbounded),
        WindowFrameBound::CurrentRow => {
            return Ok(match frame.units {
                WindowFrameUnits::Rows => Frame::Rows(0),
                _ => Frame::Range(0),
            });
        }
        WindowFrameBound::Preceding(Some(amount)) => translator.expr(amount)?,
        WindowFrameBound::Following(_) => {
            return Err(
                SqlError::unsupported(place, "window that looks ahead").instead("use PRECEDING")
            );
        }
    };
    let wrong = || {
        SqlError::new(place, "window", "its size is a constant, not negative")
            .instead("write RANGE INTERVAL '1' MINUTE PRECEDING or ROWS 10 PRECEDING")
    };
    match (frame.units, amount.sql_type) {
        (WindowFrameUnits::Rows, _) => {
            let rows = amount.constant_integer().and_then(|rows| usize::try_from(rows).ok());
            Ok(Frame::Rows(rows.ok_or_else(wrong)?))
        }
        (WindowFrameUnits::Range, Type::Interval(_)) => match amount.constant() {
            Some(ScalarValue::Int64(Some(ms))) if *ms >= 0 => Ok(Frame::Range(*ms)),
            _ => Err(wrong()),
        },
        (WindowFrameUnits::Range, Type::Months) => {
            Err(SqlError::unsupported(place, "RANGE of months").instead("count days"))
        }
        _ => Err(wrong()),
    }
}

fn over_function(
    function: &Function,
    frame: Frame,
    translator: &Translator<'_>,
    place: Place,
) -> Result<Over, SqlError> {
    let name = function_name(function);
    if name == "EXP_AVG" {
        let (argument, half_life_ms) = exp_avg(function, translator, place)?;
        if frame == Frame::Unbounded {
            return Err(SqlError::unsupported(place, "EXP_AVG over a window without bounds")
                .instead("bound the window: ROWS or RANGE .. PRECEDING"));
        }
        return Ok(Over::ExpAvg { argument, half_life_ms });
    }
    if !matches!(name.as_str(), "LAG" | "NTH_VALUE" | "FIRST_VALUE" | "LAST_VALUE") {
        if is_aggregate(&name) {
            let aggregate = Aggregate::of(function, translator, place)?;
            if frame == Frame::Unbounded && !aggregate.can_run() {
                let construct = format!("{name} over a window without bounds");
                return Err(SqlError::unsupported(place, construct)
                    .instead("bound the window: ROWS or RANGE .. PRECEDING"));
            }
            return Ok(Over::Aggregate(aggregate));
        }
        return Err(SqlError::unsupported(place, format!("{name} OVER")).instead(
            "COUNT, SUM, AVG, EXP_AVG, MIN, MAX, STDDEV, VAR, FIRST_VALUE, LAST_VALUE, NTH_VALUE and LAG are known",
        ));
    }
    let mut ignores_nulls = function.null_treatment == Some(NullTreatment::IgnoreNulls);
    if let FunctionArguments::List(list) = &function.args {
        for clause in &list.clauses {
            match clause {
                FunctionArgumentClause::IgnoreOrRespectNulls(treatment) => {
                    ignores_nulls = *treatment == NullTreatment::IgnoreNulls;
                }
                other => return Err(SqlError::unsupported(place, format!("{name} {other}"))),
            }
        }
    }
    let args = argument_exprs(function, place)?;
    let first = args.first().ok_or_else(|| SqlError::new(place, name.clone(), "no argument"))?;
    let argument = translator.expr(first)?;
    let count = |idx: usize, default: usize| match args.get(idx) {
        None => Ok(default),
        Some(expr) => translator
            .expr(expr)?
            .constant_integer()
            .and_then(|count| usize::try_from(count).ok())
            .ok_or_else(|| SqlError::new(place_of(expr), name.clone(), "a constant is needed")),
    };
    let nth = |n: usize, from_last: bool| Over::Nth {
        argument: argument.clone(),
        n,
        from_last,
        ignores_nulls,
    };
    match name.as_str() {
        "LAG" => {
            let default = match args.get(2) {
                None => None,
                Some(expr) => {
                    let default = translator.expr(expr)?;
                    Some(translator.cast_to(default, argument.sql_type, place_of(expr), "LAG")?)
                }
            };
            Ok(Over::Lag { offset: count(1, 1)?, default, ignores_nulls, argument })
        }
        "NTH_VALUE" => {
            let n = count(1, 0)?;
            if n == 0 {
                return Err(SqlError::new(place, name, "counts from 1"));
            }
            if frame == Frame::Unbounded {
                return Err(SqlError::unsupported(place, "NTH_VALUE over a window without bounds")
                    .instead("bound the window: ROWS or RANGE .. PRECEDING"));
            }
            Ok(nth(n, false))
        }
        "LAST_VALUE" if !ignores_nulls => Ok(nth(1, true)),
        _ if frame == Frame::Unbounded => {
            Aggregate::of(function, translator, place).map(Over::Aggregate)
        }
        "FIRST_VALUE" => Ok(nth(1, false)),
        _ => Ok(nth(1, true)),
    }
}
