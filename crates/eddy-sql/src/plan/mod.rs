//! From statements to operators: which streams there are, which pumps read and fill them, and what
//! each pump's query does.

mod from;
mod graph;
mod grouped;
mod order;
mod over;
mod select;
mod table_function;
mod walk;

use sqlparser::ast::{Query, SetExpr, SetOperator, SetQuantifier, Spanned};

pub(crate) use graph::{Graph, StreamPlan, parallel, plan};

use crate::error::{Place, RunError, SqlError};
use crate::expr::{Environment, Translator, cast};
use crate::options::ReferenceTable;
use crate::parse::Marks;
use crate::run::{Node, Project, Union};
use crate::scope::{Field, Scope};

/// Rows, and what they are called.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) node: Node,
    pub(crate) scope: Scope,
}

/// Plans the query of one pump.
pub(crate) struct Planner<'a> {
    pub(crate) streams: &'a [StreamPlan],
    pub(crate) tables: &'a [ReferenceTable],
    pub(crate) marks: &'a Marks,
    pub(crate) environment: Environment,
    pub(crate) seed: u64,
    pub(crate) warnings: &'a mut Vec<String>,
}

impl<'a> Planner<'a> {
    fn translator<'b>(&self, scope: &'b Scope) -> Translator<'b> {
        Translator::new(scope, self.environment)
    }

    /// The rows of a query; the scope's columns are those of its select list.
    pub(crate) fn query(&mut self, query: &Query) -> Result<Planned, SqlError> {
        let place: Place = query.span().start.into();
        let refused = |construct: &str| SqlError::unsupported(place, construct);
        if query.with.is_some() {
            return Err(refused("WITH").instead("make it a stream, and a pump that fills it"));
        }
        if query.limit_clause.is_some() || query.fetch.is_some() {
            return Err(refused("LIMIT").instead("a stream has no end; use TOP_K_ITEMS_TUMBLING"));
        }
        if !query.locks.is_empty() || query.for_clause.is_some() || query.settings.is_some() {
            return Err(refused("FOR or SETTINGS"));
        }
        match query.body.as_ref() {
            SetExpr::Select(select) => self.select(select, query.order_by.as_ref()),
            body if query.order_by.is_some() => Err(refused(match body {
                SetExpr::SetOperation { .. } => "ORDER BY of a UNION",
                _ => "ORDER BY here",
            })
            .instead("order the rows in a pump of its own")),
            body => self.body(body, place),
        }
    }

    fn body(&mut self, body: &SetExpr, place: Place) -> Result<Planned, SqlError> {
        match body {
            SetExpr::Select(select) => self.select(select, None),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, op: SetOperator::Union, set_quantifier, right } => {
                if *set_quantifier != SetQuantifier::All {
                    return Err(SqlError::unsupported(place, "UNION without ALL").instead(
                        "write UNION ALL, and SELECT STREAM DISTINCT with a window behind it",
                    ));
                }
                let (left, right) = (self.body(left, place)?, self.body(right, place)?);
                self.union(left, right, place)
            }
            SetExpr::SetOperation { op, .. } => {
                Err(SqlError::unsupported(place, op.to_string()).instead("write it as a JOIN"))
            }
            _ => Err(SqlError::unsupported(place, "VALUES").instead("select from a stream")),
        }
    }

    /// UNION ALL: columns by position, in the types that both have in common.
    fn union(&mut self, left: Planned, right: Planned, place: Place) -> Result<Planned, SqlError> {
        let (a, b) = (left.scope.fields.len(), right.scope.fields.len());
        if a != b {
            let problem = format!("{a} columns on one side, {b} on the other");
            return Err(SqlError::new(place, "UNION ALL", problem));
        }
        let mut fields = Vec::new();
        for (left, right) in left.scope.fields.iter().zip(&right.scope.fields) {
            let common = left.sql_type.common(right.sql_type).ok_or_else(|| {
                let problem = format!(
                    "column {} is {} on one side, {} on the other",
                    left.name, left.sql_type, right.sql_type
                );
                SqlError::new(place, "UNION ALL", problem).instead("convert one of them by CAST")
            })?;
            let step = left.step.zip(right.step).and_then(|(a, b)| a.coarser(b));
            fields.push(Field { sql_type: common, step, ..left.clone() });
        }
        let side = |planned: Planned| -> Result<Node, SqlError> {
            let Planned { node, scope } = planned;
            let casts = fields.iter().enumerate().map(|(idx, field): (usize, &Field)| {
                let typed = scope.column(idx);
                let (from, to) = (typed.sql_type, field.sql_type);
                cast(typed, to).ok_or_else(|| {
                    let problem = format!("there is no conversion from {from} to {to}");
                    SqlError::new(place, "UNION ALL", problem)
                        .instead("convert one of them by CAST")
                })
            });
            let casts: Vec<_> = casts.collect::<Result<_, _>>()?;
            Ok(Node::apply(Project::new(casts, scope.arrow_schema()), node))
        };
        let node = Node::Apply(Box::new(Union), vec![side(left)?, side(right)?]);
        Ok(Planned { node, scope: Scope::of(None, fields, false) })
    }
}

/// An operator that cannot be made for reasons of DataFusion's.
pub(crate) fn unmade(place: Place, construct: &str, error: &RunError) -> SqlError {
    SqlError::new(place, construct, error.to_string())
}
