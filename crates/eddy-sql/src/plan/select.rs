//! SELECT.

use sqlparser::ast::{
    Distinct, Expr, Function, GroupByExpr, OrderBy, Select, SelectItem,
    SelectItemQualifiedWildcardKind,
};

use super::walk::walk;
use super::{Planned, Planner};
use crate::error::{Place, SqlError};
use crate::expr::{Translator, Typed, function_name, is_aggregate, is_log_parser, place_of};
use crate::parse::cased;
use crate::run::{Filter, Node, Project};
use crate::scope::{Field, ROWTIME, Scope, grouped_name};
use crate::types::Type;

/// An item of a select list.
#[derive(Debug)]
pub(super) struct Item<'a> {
    /// The name after AS, or that of the column.
    pub(super) name: String,
    /// An expression, or a column of a `*` by its index in the scope of FROM.
    pub(super) value: Value<'a>,
    /// Whether the name was given by AS.
    pub(super) is_named: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Expr(&'a Expr),
    Column(usize),
}

/// The select list, `*` written out.
fn items<'a>(select: &'a Select, scope: &Scope) -> Result<Vec<Item<'a>>, SqlError> {
    let mut items = Vec::new();
    let star = |columns: std::ops::Range<usize>, items: &mut Vec<Item<'a>>| {
        for column_idx in columns.filter(|idx| !scope.fields[*idx].hidden) {
            let name = scope.fields[column_idx].name.clone();
            items.push(Item { name, value: Value::Column(column_idx), is_named: false });
        }
    };
    for item in &select.projection {
        match item {
            SelectItem::Wildcard(_) => star(0..scope.fields.len(), &mut items),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let ident = name.0.last().and_then(|part| part.as_ident());
                let ident = ident.ok_or_else(|| {
                    SqlError::unsupported(select_place(select), format!("{name}.*"))
                })?;
                star(scope.relation(ident)?.columns.clone(), &mut items);
            }
            SelectItem::UnnamedExpr(expr) => {
                let name = match expr {
                    Expr::Identifier(ident) => cased(&ident.value, ident.quote_style),
                    Expr::CompoundIdentifier(parts) => {
                        let last = parts.last().expect("a name has a part");
                        cased(&last.value, last.quote_style)
                    }
                    // As the original names columns without a name.
                    _ => format!("EXPR${}", items.len()),
                };
                items.push(Item { name, value: Value::Expr(expr), is_named: false });
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                let name = cased(&alias.value, alias.quote_style);
                items.push(Item { name, value: Value::Expr(expr), is_named: true });
            }
            other => {
                return Err(SqlError::unsupported(select_place(select), other.to_string()));
            }
        }
    }
    Ok(items)
}

/// The items that are expressions.
pub(super) fn exprs<'a>(items: &[Item<'a>]) -> impl Iterator<Item = &'a Expr> {
    items.iter().filter_map(|item| match item.value {
        Value::Expr(expr) => Some(expr),
        Value::Column(_) => None,
    })
}

/// An aggregate over a group, not over a window of OVER.
pub(super) fn is_plain_aggregate(function: &Function) -> bool {
    function.over.is_none() && is_aggregate(&function_name(function))
}

pub(super) fn select_place(select: &Select) -> Place {
    select.select_token.0.span.start.into()
}

/// The calls in expressions that `wanted` finds, each once.
pub(super) fn calls<'e>(
    exprs: impl IntoIterator<Item = &'e Expr>,
    wanted: &dyn Fn(&Function) -> bool,
) -> Vec<(&'e Expr, &'e Function)> {
    let mut found: Vec<(&Expr, &Function)> = Vec::new();
    for expr in exprs {
        walk(expr, &mut |expr| match expr {
            Expr::Function(function) if wanted(function) => {
                if !found.iter().any(|(known, _)| *known == expr) {
                    found.push((expr, function));
                }
                false
            }
            _ => true,
        });
    }
    found
}

fn refuse_foreign(select: &Select) -> Result<(), SqlError> {
    let foreign = [
        (select.top.is_some(), "TOP"),
        (select.into.is_some(), "SELECT INTO"),
        (!select.lateral_views.is_empty(), "LATERAL VIEW"),
        (select.prewhere.is_some(), "PREWHERE"),
        (select.qualify.is_some(), "QUALIFY"),
        (!select.cluster_by.is_empty(), "CLUSTER BY"),
        (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
        (!select.sort_by.is_empty(), "SORT BY"),
        (!select.connect_by.is_empty(), "CONNECT BY"),
        (matches!(select.distinct, Some(Distinct::On(_))), "DISTINCT ON"),
        (matches!(select.group_by, GroupByExpr::All(_)), "GROUP BY ALL"),
    ];
    match foreign.into_iter().find(|(is_there, _)| *is_there) {
        Some((_, construct)) => Err(SqlError::unsupported(select_place(select), construct)),
        None => Ok(()),
    }
}

impl Planner<'_> {
    pub(super) fn select(
        &mut self,
        select: &Select,
        order_by: Option<&OrderBy>,
    ) -> Result<Planned, SqlError> {
        refuse_foreign(select)?;
        let place = select_place(select);
        let Planned { mut node, mut scope } = self.from(select, place)?;
        if let Some(condition) = &select.selection {
            let condition = self.translator(&scope).condition(condition, "WHERE")?;
            node = Node::apply(Filter::new(condition, scope.arrow_schema()), node);
        }
        let mut order_by = order_by;
        if let Some(within) = self.marks.within.get(&place) {
            node = self.time_sort(order_by, within, &scope, node, place)?;
            order_by = None;
        }
        let items = items(select, &scope)?;
        let has_groups = match &select.group_by {
            GroupByExpr::Expressions(keys, modifiers) => {
                if !modifiers.is_empty() {
                    return Err(SqlError::unsupported(place, "GROUP BY .. WITH"));
                }
                !keys.is_empty()
            }
            GroupByExpr::All(_) => false,
        };
        let is_distinct = select.distinct == Some(Distinct::Distinct);
        let over = calls(exprs(&items), &|function| function.over.is_some());
        let grouped = has_groups
            || self.marks.staggers.contains_key(&place)
            || !calls(exprs(&items), &is_plain_aggregate).is_empty()
            || select.having.is_some();
        if grouped || is_distinct {
            if let Some((expr, _)) = over.first() {
                return Err(SqlError::unsupported(place_of(expr), "OVER beside GROUP BY")
                    .instead("group in a subquery or a stream of its own"));
            }
            if grouped && is_distinct {
                return Err(SqlError::unsupported(place, "DISTINCT beside GROUP BY")
                    .instead("rows of a group are distinct already"));
            }
            return self.grouped(select, &items, Planned { node, scope }, order_by);
        }
        let windows = self.over(&over, select, &mut scope, node)?;
        let (node, columns) = windows;
        let lookup = |expr: &Expr| {
            let known = over.iter().position(|(known, _)| *known == expr)?;
            Some(Ok(columns[known].clone()))
        };
        let translator = self.translator(&scope).with_lookup(&lookup);
        let node = self.order(order_by, &items, &translator, node, None)?;
        self.project(&items, &translator, node)
    }

    /// The select list. A column named ROWTIME by AS becomes the rows' time.
    pub(super) fn project(
        &self,
        items: &[Item<'_>],
        translator: &Translator<'_>,
        node: Node,
    ) -> Result<Planned, SqlError> {
        let scope = translator.scope;
        let (mut values, mut fields, mut rowtime) = (Vec::new(), Vec::new(), None);
        for item in items {
            if let Value::Expr(expr @ Expr::Function(function)) = item.value
                && is_log_parser(&function_name(function))
            {
                for (column, typed) in translator.log_columns(function, place_of(expr))? {
                    let name = grouped_name(&item.name, &column);
                    fields.push(Field { hidden: true, ..Field::new(name, typed.sql_type) });
                    values.push(typed);
                }
                continue;
            }
            let typed = match item.value {
                Value::Column(column_idx) => scope.column(column_idx),
                Value::Expr(expr) => translator.expr(expr)?,
            };
            let column_idx = typed.column_idx();
            if item.is_named && item.name == ROWTIME {
                // The time that the rows have already needs no setting.
                if column_idx != Some(scope.fields.len()) {
                    let Value::Expr(expr) = item.value else { continue };
                    let time =
                        translator.cast_to(typed, Type::Timestamp, place_of(expr), "AS ROWTIME")?;
                    rowtime = Some(time);
                }
                continue;
            }
            let step = match (column_idx, item.value) {
                (Some(column_idx), _) => scope.step(column_idx),
                (None, Value::Expr(expr)) if typed.sql_type == Type::Timestamp => {
                    self.monotonic(expr, translator).map(|(_, step)| step)
                }
                (None, _) => None,
            };
            fields.push(Field { step, ..Field::new(&item.name, typed.sql_type) });
            values.push(typed);
        }
        let schema = scope.arrow_schema();
        let project = match rowtime {
            Some(rowtime) => {
                // The rows have another time now, which the columns do not follow.
                fields.iter_mut().for_each(|field| field.step = None);
                Project::with_rowtime(values, rowtime, schema)
            }
            None => Project::new(values, schema),
        };
        Ok(Planned { node: Node::apply(project, node), scope: Scope::of(None, fields, false) })
    }
}

/// The values of items, for DISTINCT.
pub(super) fn item_values(
    items: &[Item<'_>],
    translator: &Translator<'_>,
) -> Result<Vec<Typed>, SqlError> {
    items
        .iter()
        .map(|item| match item.value {
            Value::Column(column_idx) => Ok(translator.scope.column(column_idx)),
            Value::Expr(expr) => translator.expr(expr),
        })
        .collect()
}
