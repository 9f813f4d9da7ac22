//! Finding calls inside expressions.

use sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments};

/// Calls `each` for an expression and what is inside it, outside first; where it returns `false`,
/// the inside is left out.
pub(crate) fn walk<'e>(expr: &'e Expr, each: &mut dyn FnMut(&'e Expr) -> bool) {
    if !each(expr) {
        return;
    }
    let mut all = |list: &mut dyn Iterator<Item = &'e Expr>| list.for_each(|it| walk(it, each));
    match expr {
        Expr::Nested(inner)
        | Expr::UnaryOp { expr: inner, .. }
        | Expr::Cast { expr: inner, .. }
        | Expr::IsNull(inner)
        | Expr::IsNotNull(inner)
        | Expr::IsTrue(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsNotFalse(inner)
        | Expr::IsUnknown(inner)
        | Expr::IsNotUnknown(inner)
        | Expr::Floor { expr: inner, .. }
        | Expr::Ceil { expr: inner, .. }
        | Expr::Extract { expr: inner, .. } => all(&mut [inner.as_ref()].into_iter()),
        Expr::BinaryOp { left, right, .. }
        | Expr::IsDistinctFrom(left, right)
        | Expr::IsNotDistinctFrom(left, right)
        | Expr::Position { expr: left, r#in: right }
        | Expr::Like { expr: left, pattern: right, .. }
        | Expr::SimilarTo { expr: left, pattern: right, .. } => {
            all(&mut [left.as_ref(), right.as_ref()].into_iter());
        }
        Expr::Between { expr, low, high, .. } => {
            all(&mut [expr.as_ref(), low.as_ref(), high.as_ref()].into_iter());
        }
        Expr::InList { expr, list, .. } => {
            all(&mut std::iter::once(expr.as_ref()).chain(list));
        }
        Expr::Case { operand, conditions, else_result, .. } => {
            let branches = conditions.iter().flat_map(|when| [&when.condition, &when.result]);
            let ends = operand.iter().chain(else_result).map(AsRef::as_ref);
            all(&mut ends.chain(branches));
        }
        Expr::Substring { expr, substring_from, substring_for, .. } => {
            let bounds = substring_from.iter().chain(substring_for).map(AsRef::as_ref);
            all(&mut std::iter::once(expr.as_ref()).chain(bounds));
        }
        Expr::Trim { expr, trim_what, .. } => {
            all(&mut std::iter::once(expr.as_ref()).chain(trim_what.iter().map(AsRef::as_ref)));
        }
        Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
            let parts = [expr.as_ref(), overlay_what.as_ref(), overlay_from.as_ref()];
            all(&mut parts.into_iter().chain(overlay_for.iter().map(AsRef::as_ref)));
        }
        Expr::Function(function) => all(&mut arguments(function).into_iter()),
        _ => {}
    }
}

fn arguments(function: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let arg = |arg| match arg {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expr)) => Some(expr),
        _ => None,
    };
    list.args.iter().filter_map(arg).collect()
}
