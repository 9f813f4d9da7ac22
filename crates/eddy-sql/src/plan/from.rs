//! FROM: streams, tables, subqueries, table functions and joins.

use datafusion_common::ScalarValue;
use sqlparser::ast::{
    Expr, Join, JoinConstraint, JoinOperator, ObjectName, Select, Spanned, TableAlias, TableFactor,
    TableWithJoins, WindowType,
};

use super::{Planned, Planner};
use crate::error::{Place, SqlError};
use crate::expr::time::Step;
use crate::expr::{Typed, shortened};
use crate::parse::{Name, cased};
use crate::run::{Frame, Keeps, Node, StreamJoin, TableJoin, joined_schema};
use crate::scope::{Field, ROWTIME, Relation, Scope};
use crate::types::Type;

/// A relation of FROM.
pub(super) struct From {
    planned: Planned,
    frame: Option<Frame>,
    place: Place,
    /// A table does not move: its columns.
    table: Option<Vec<arrow::array::ArrayRef>>,
}

impl Planner<'_> {
    pub(super) fn from(&mut self, select: &Select, place: Place) -> Result<Planned, SqlError> {
        let Some((first, others)) = select.from.split_first() else {
            return Err(
                SqlError::new(place, "SELECT", "without FROM").instead("select from a stream")
            );
        };
        let mut joined = self.with_joins(first, select)?;
        for other in others {
            let other = self.with_joins(other, select)?;
            joined = self.join(joined, other, None, Keeps::default())?;
        }
        if joined.table.is_some() {
            return Err(SqlError::unsupported(joined.place, "table without a stream")
                .instead("join a stream with it"));
        }
        if joined.frame.is_some() {
            return Err(SqlError::unsupported(joined.place, "OVER in FROM without a join")
                .instead("windows of aggregates stand behind them: AVG(x) OVER (..)"));
        }
        Ok(joined.planned)
    }

    fn with_joins(&mut self, from: &TableWithJoins, select: &Select) -> Result<From, SqlError> {
        let mut joined = self.relation(&from.relation, select)?;
        for join in &from.joins {
            let (constraint, keeps) = constraint(join, joined.place)?;
            let right = self.relation(&join.relation, select)?;
            let condition = match constraint {
                JoinConstraint::On(condition) => Some(condition),
                JoinConstraint::None => None,
                JoinConstraint::Using(_) | JoinConstraint::Natural => {
                    return Err(SqlError::unsupported(right.place, "USING and NATURAL")
                        .instead("write ON a.k = b.k"));
                }
            };
            joined = self.join(joined, right, condition, keeps)?;
        }
        Ok(joined)
    }

    fn relation(&mut self, factor: &TableFactor, select: &Select) -> Result<From, SqlError> {
        let place: Place = factor.span().start.into();
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let place = name_place(name);
                let frame = self.frame_at(place, select)?;
                let mut from = self.named(name, place)?;
                rename(&mut from.planned.scope, alias.as_ref())?;
                if alias.is_none() {
                    self.also_by_window(&mut from.planned.scope, place);
                }
                Ok(From { frame, ..from })
            }
            TableFactor::Derived { subquery, alias, lateral: false, .. } => {
                let inner: Place = match subquery.body.as_ref() {
                    sqlparser::ast::SetExpr::Select(select) => super::select::select_place(select),
                    _ => place,
                };
                let frame = self.frame_at(inner, select)?;
                let mut planned = self.query(subquery)?;
                rename(&mut planned.scope, alias.as_ref())?;
                if alias.is_none() {
                    self.also_by_window(&mut planned.scope, inner);
                }
                Ok(From { planned, frame, place, table: None })
            }
            TableFactor::TableFunction { expr, alias } => {
                let mut planned = self.table_function(expr)?;
                rename(&mut planned.scope, alias.as_ref())?;
                Ok(From { planned, frame: None, place, table: None })
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                self.with_joins(table_with_joins, select)
            }
            other => {
                Err(SqlError::unsupported(place, format!("FROM {}", shortened(&other.to_string())))
                    .instead("write FROM \"STREAM\", a subquery, or TABLE(FUNCTION(CURSOR(..)))"))
            }
        }
    }

    fn frame_at(&self, place: Place, select: &Select) -> Result<Option<Frame>, SqlError> {
        let window = self.marks.windows.get(&place);
        window.map(|window| self.relation_frame(window, select, place)).transpose()
    }

    /// A relation in a named window answers to the window's name as well:
    /// `JOIN "T" OVER w ON .. = w.k WINDOW w AS (..)`.
    fn also_by_window(&self, scope: &mut Scope, place: Place) {
        if let Some(WindowType::NamedWindow(name)) = self.marks.windows.get(&place)
            && let [only] = &scope.relations[..]
        {
            let name = Some(cased(&name.value, name.quote_style));
            scope.relations.push(Relation { name, ..only.clone() });
        }
    }

    fn named(&self, name: &ObjectName, place: Place) -> Result<From, SqlError> {
        let ident = name.0.last().and_then(|part| part.as_ident());
        let ident = ident.ok_or_else(|| SqlError::unsupported(place, name.to_string()))?;
        let wanted = Name::from(ident).text;
        if let Some(stream_idx) = self.streams.iter().position(|stream| stream.name == wanted) {
            let stream = &self.streams[stream_idx];
            let any_case = stream.is_source;
            let scope = Scope::of(Some(wanted), stream.fields.clone(), any_case);
            let node = Node::Stream(stream_idx);
            return Ok(From { planned: Planned { node, scope }, frame: None, place, table: None });
        }
        if let Some(table) = self.tables.iter().find(|table| table.name == wanted) {
            let scope = Scope::of(Some(wanted), table.fields.clone(), true);
            // Nothing runs for a table; its rows are part of the join.
            let planned = Planned { node: Node::Stream(0), scope };
            let table = Some(table.columns.clone());
            return Ok(From { planned, frame: None, place, table });
        }
        let error = SqlError::new(place, format!("stream {wanted}"), "not declared");
        let similar = self.streams.iter().find(|stream| stream.name.eq_ignore_ascii_case(&wanted));
        Err(match similar {
            Some(stream) => error.instead(format!(
                "write \"{}\": a name without quotes is read in upper case",
                stream.name
            )),
            None => {
                let names: Vec<&str> =
                    self.streams.iter().map(|stream| stream.name.as_str()).collect();
                error.instead(format!("there are: {}", names.join(", ")))
            }
        })
    }

    fn join(
        &self,
        left: From,
        right: From,
        condition: Option<&Expr>,
        keeps: Keeps,
    ) -> Result<From, SqlError> {
        if left.table.is_some() {
            let kind = if keeps.right { "LEFT JOIN" } else { "JOIN" };
            return Err(SqlError::unsupported(left.place, "join that begins with a table")
                .instead(format!(
                    "write the stream first: FROM \"STREAM\" s {kind} \"TABLE\" t ON .."
                )));
        }
        if right.table.is_some() && keeps.right {
            // A stream has no end at which a row of the table is known to have met nothing.
            let kind = if keeps.left { "FULL JOIN" } else { "RIGHT JOIN" };
            return Err(SqlError::unsupported(right.place, format!("{kind} with a table"))
                .instead("write FROM \"STREAM\" s LEFT JOIN \"TABLE\" t ON .., or JOIN"));
        }
        let place = left.place;
        let types = |scope: &Scope| -> Vec<Type> {
            scope.fields.iter().map(|field| field.sql_type).collect()
        };
        let (left_types, right_types) = (types(&left.planned.scope), types(&right.planned.scope));
        // A side without a window holds the current row only, so its time is the pair's; rows of a
        // window are older.
        let is_current = [
            left.frame.is_none() || right.table.is_some(),
            right.frame.is_none() && right.table.is_none(),
        ];
        let scope = joined_scope(&left.planned.scope, &right.planned.scope, is_current);
        let condition = match condition {
            Some(condition) => self.translator(&scope).condition(condition, "ON")?,
            None => Typed::literal(ScalarValue::Boolean(Some(true)), Type::Boolean),
        };
        let schema = joined_schema(&left_types, &right_types);
        let node = match right.table {
            Some(table) => {
                Node::apply(TableJoin::new(table, keeps.left, condition, schema), left.planned.node)
            }
            None => {
                let sides = ((left.frame, left_types), (right.frame, right_types));
                let join = StreamJoin::new(sides.0, sides.1, keeps, condition, schema);
                Node::Apply(Box::new(join), vec![left.planned.node, right.planned.node])
            }
        };
        Ok(From { planned: Planned { node, scope }, frame: None, place, table: None })
    }
}

fn constraint(join: &Join, place: Place) -> Result<(&JoinConstraint, Keeps), SqlError> {
    let (constraint, left, right) = match &join.join_operator {
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::CrossJoin(constraint) => (constraint, false, false),
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
            (constraint, true, false)
        }
        JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
            (constraint, false, true)
        }
        JoinOperator::FullOuter(constraint) => (constraint, true, true),
        _ => {
            return Err(SqlError::unsupported(place, "this kind of JOIN")
                .instead("JOIN, LEFT JOIN, RIGHT JOIN and FULL JOIN are known"));
        }
    };
    Ok((constraint, Keeps { left, right }))
}

fn name_place(name: &ObjectName) -> Place {
    let first = name.0.first().and_then(|part| part.as_ident());
    first.map_or(Place::default(), |ident| ident.span.start.into())
}

/// An alias is the relation's only name.
fn rename(scope: &mut Scope, alias: Option<&TableAlias>) -> Result<(), SqlError> {
    let Some(alias) = alias else { return Ok(()) };
    if !alias.columns.is_empty() {
        let place = Place::from(alias.name.span.start);
        return Err(SqlError::unsupported(place, "column names behind an alias")
            .instead("name columns by AS in the select list"));
    }
    for relation in &mut scope.relations {
        relation.name = Some(cased(&alias.name.value, alias.name.quote_style));
    }
    Ok(())
}

/// The columns of both sides, then each side's own ROWTIME. `is_current`: whether a side's rows have
/// the time of their pairs.
fn joined_scope(left: &Scope, right: &Scope, is_current: [bool; 2]) -> Scope {
    let (n_left, n_right) = (left.fields.len(), right.fields.len());
    let sides = [left, right].into_iter().zip(is_current);
    let columns = sides.flat_map(|(side, is_current)| {
        side.fields
            .iter()
            .map(move |field| Field { step: field.step.filter(|_| is_current), ..field.clone() })
    });
    let rowtimes = is_current.map(|is_current| Field {
        hidden: true,
        step: is_current.then_some(Step::Ms(1)),
        ..Field::new(format!("\0{ROWTIME}"), Type::Timestamp)
    });
    let fields = columns.chain(rowtimes).collect();
    let shifted = |relation: &Relation, by: usize, own: usize| Relation {
        columns: relation.columns.start + by..relation.columns.end + by,
        rowtime: Some(relation.rowtime.map_or(own, |idx| idx + by)),
        ..relation.clone()
    };
    let lefts = left.relations.iter().map(|it| shifted(it, 0, n_left + n_right));
    let rights = right.relations.iter().map(|it| shifted(it, n_left, n_left + n_right + 1));
    Scope { fields, relations: lefts.chain(rights).collect() }
}
