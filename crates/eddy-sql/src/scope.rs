//! Which columns an expression can name, and by which names.

use std::ops::Range;

use arrow::datatypes::SchemaRef;
use sqlparser::ast::Ident;

use crate::error::{Place, SqlError};
use crate::expr::time::Step;
use crate::expr::{Typed, arrow_schema};
use crate::parse::cased;
use crate::types::Type;

/// The name of every stream's time.
pub(crate) const ROWTIME: &str = "ROWTIME";

/// What a column of a log parser's is called inside: nobody can write it.
pub(crate) fn grouped_name(group: &str, column: &str) -> String {
    format!("{group}\0{column}")
}

/// One column of an operator's rows.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) sql_type: Type,
    /// Not part of `*`.
    pub(crate) hidden: bool,
    /// The original does not have it: the application's own names go before it.
    pub(crate) extension: bool,
    /// Its values grow with the stream's time, and windows may be made of it: no row comes any more
    /// whose value lies in a step that the time has passed. A millisecond for ROWTIME itself, else
    /// what it was rounded down to, or the window that its rows waited in.
    pub(crate) step: Option<Step>,
}

impl Field {
    pub(crate) fn new(name: impl Into<String>, sql_type: Type) -> Self {
        Self { name: name.into(), sql_type, hidden: false, extension: false, step: None }
    }
}

/// A relation of FROM: a name for some of the columns.
#[derive(Clone, Debug)]
pub(crate) struct Relation {
    /// Names that it answers to: its alias, or the stream's name.
    pub(crate) name: Option<String>,
    pub(crate) columns: Range<usize>,
    /// Column names are compared without regard to case where that is unambiguous: the source's
    /// names come from a schema, which has no quotes.
    pub(crate) any_case: bool,
    /// The column that holds the relation's own ROWTIME, where it is not the rows'.
    pub(crate) rowtime: Option<usize>,
}

/// The columns of some rows; after them stands the rows' ROWTIME.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    pub(crate) fields: Vec<Field>,
    pub(crate) relations: Vec<Relation>,
}

impl Scope {
    /// The columns of one relation.
    pub(crate) fn of(name: Option<String>, fields: Vec<Field>, any_case: bool) -> Self {
        let columns = 0..fields.len();
        Self { fields, relations: vec![Relation { name, columns, any_case, rowtime: None }] }
    }

    /// The types of the columns, and ROWTIME's behind them.
    pub(crate) fn arrow_schema(&self) -> SchemaRef {
        let types = self.fields.iter().map(|field| field.sql_type);
        arrow_schema(types.chain([Type::Timestamp]))
    }

    pub(crate) fn rowtime(&self) -> Typed {
        Typed::column(ROWTIME, self.fields.len(), Type::Timestamp)
    }

    pub(crate) fn column(&self, column_idx: usize) -> Typed {
        match self.fields.get(column_idx) {
            Some(field) => Typed::column(&field.name, column_idx, field.sql_type),
            None => self.rowtime(),
        }
    }

    /// How closely a column's values follow the rows' time, if they do.
    pub(crate) fn step(&self, column_idx: usize) -> Option<Step> {
        self.fields.get(column_idx).map_or(Some(Step::Ms(1)), |field| field.step)
    }

    /// The relation of that name.
    pub(crate) fn relation(&self, ident: &Ident) -> Result<&Relation, SqlError> {
        let wanted = cased(&ident.value, ident.quote_style);
        let found = self.relations.iter().find(|relation| relation.name.as_ref() == Some(&wanted));
        found.ok_or_else(|| {
            let known: Vec<&str> =
                self.relations.iter().filter_map(|relation| relation.name.as_deref()).collect();
            let problem = format!("no such stream here; there are: {}", known.join(", "));
            SqlError::new(ident.span.start, wanted, problem)
        })
    }

    /// Whether a name means a column that the original does not have.
    pub(crate) fn is_extension(&self, name: &Ident) -> bool {
        let column = self.resolve(std::slice::from_ref(name)).ok().and_then(|it| it.column_idx());
        column.and_then(|idx| self.fields.get(idx)).is_some_and(|field| field.extension)
    }

    /// The column that a name means: `name`, `stream.name`, `schema.stream.name`.
    pub(crate) fn resolve(&self, parts: &[Ident]) -> Result<Typed, SqlError> {
        let (column, before) = parts.split_last().expect("a name has a part");
        let place: Place = parts[0].span.start.into();
        if let [.., group, _] = parts
            && let Some(found) = self.inside(parts, group, column)
        {
            return Ok(found);
        }
        let relation = before.last().map(|ident| self.relation(ident)).transpose()?;
        let wanted = cased(&column.value, column.quote_style);
        let relations = match relation {
            Some(relation) => std::slice::from_ref(relation),
            None => &self.relations,
        };
        let mut found = Vec::new();
        // What is part of `*` goes before what is not, however either is written.
        for (hidden, any_case) in [(false, false), (false, true), (true, false), (true, true)] {
            for relation in relations.iter().filter(|relation| !any_case || relation.any_case) {
                let matches = |name: &str| {
                    name == wanted || (any_case && name.to_uppercase() == wanted.to_uppercase())
                };
                for idx in relation.columns.clone() {
                    let field = &self.fields[idx];
                    // A relation may have two names.
                    if field.hidden == hidden && matches(&field.name) && !found.contains(&idx) {
                        found.push(idx);
                    }
                }
            }
            if !found.is_empty() {
                break;
            }
        }
        if found.is_empty() && wanted == ROWTIME {
            let column_idx = relation.and_then(|relation| relation.rowtime);
            return Ok(self.column(column_idx.unwrap_or(self.fields.len())));
        }
        match found[..] {
            [column_idx] => Ok(self.column(column_idx)),
            [] => Err(self.unknown(&wanted, column, place)),
            // Columns of one name in one relation are legal; the first is meant.
            [first, ..] if relation.is_some() || self.is_one() => Ok(self.column(first)),
            _ => Err(SqlError::new(place, wanted, "more than one stream has this column")
                .instead("write the stream's name before it: \"STREAM\".\"column\"")),
        }
    }

    /// Whether all columns are of one relation.
    fn is_one(&self) -> bool {
        self.relations.windows(2).all(|pair| pair[0].columns == pair[1].columns)
    }

    /// A column of a log parser's: `r.COLUMN1` or `t.r.COLUMN1`.
    fn inside(&self, parts: &[Ident], group: &Ident, column: &Ident) -> Option<Typed> {
        let cased = |ident: &Ident| cased(&ident.value, ident.quote_style);
        let wanted = grouped_name(&cased(group), &cased(column));
        let columns = match parts {
            [.., relation, _, _] => self.relation(relation).ok()?.columns.clone(),
            _ => 0..self.fields.len(),
        };
        let found = columns.into_iter().find(|idx| self.fields[*idx].name == wanted);
        found.map(|column_idx| self.column(column_idx))
    }

    fn unknown(&self, wanted: &str, column: &Ident, place: Place) -> SqlError {
        let visible = self.fields.iter().filter(|field| !field.hidden);
        let names: Vec<String> = visible.map(|field| format!("\"{}\"", field.name)).collect();
        let error = SqlError::new(place, format!("column {wanted}"), "not found");
        let similar =
            self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(&column.value));
        match similar {
            Some(field) => error.instead(format!(
                "write \"{}\": a name without quotes is read in upper case",
                field.name
            )),
            None => error.instead(format!("there are: {}", names.join(", "))),
        }
    }
}
