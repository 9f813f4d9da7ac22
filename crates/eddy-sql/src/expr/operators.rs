//! Conditions: comparisons, NULL, CASE, IN, BETWEEN.

use std::sync::Arc;

use datafusion_common::ScalarValue;
use datafusion_expr::Operator;
use datafusion_physical_expr::expressions::{
    BinaryExpr, NotExpr, case, in_list, is_not_null, is_null,
};
use sqlparser::ast::{BinaryOperator, CaseWhen, Expr, UnaryOperator};

use super::{Translator, Typed, place_of, wrong};
use crate::error::SqlError;
use crate::types::Type;

impl Translator<'_> {
    pub(super) fn binary(
        &self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
    ) -> Result<Typed, SqlError> {
        let operator = match op {
            BinaryOperator::And | BinaryOperator::Or => {
                let operator =
                    if *op == BinaryOperator::And { Operator::And } else { Operator::Or };
                let left = self.condition(left, &op.to_string())?;
                let right = self.condition(right, &op.to_string())?;
                return Ok(logical(left, operator, right));
            }
            BinaryOperator::Eq => Operator::Eq,
            BinaryOperator::NotEq => Operator::NotEq,
            BinaryOperator::Lt => Operator::Lt,
            BinaryOperator::LtEq => Operator::LtEq,
            BinaryOperator::Gt => Operator::Gt,
            BinaryOperator::GtEq => Operator::GtEq,
            _ => {
                let place = place_of(left);
                let (left, right) = (self.expr(left)?, self.expr(right)?);
                return self.arithmetic(left, op, right, place);
            }
        };
        let place = place_of(left);
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        self.compare(left, operator, right, place)
    }

    pub(super) fn compare(
        &self,
        left: Typed,
        operator: Operator,
        right: Typed,
        place: crate::error::Place,
    ) -> Result<Typed, SqlError> {
        let (a, b) = (left.sql_type, right.sql_type);
        let construct = operator.to_string();
        let common = a.common(b).ok_or_else(|| {
            SqlError::new(place, &construct, format!("{a} cannot be compared with {b}"))
                .instead("convert one of them by CAST")
        })?;
        let common = if common == Type::Null { Type::Boolean } else { common };
        let left = self.cast_to(left, common, place, &construct)?;
        let right = self.cast_to(right, common, place, &construct)?;
        let expr = BinaryExpr::new(left.expr, operator, right.expr);
        Ok(Typed { expr: Arc::new(expr), sql_type: Type::Boolean })
    }

    pub(super) fn unary(&self, op: UnaryOperator, inner: &Expr) -> Result<Typed, SqlError> {
        let place = place_of(inner);
        match op {
            UnaryOperator::Not => {
                let typed = self.condition(inner, "NOT")?;
                Ok(not(typed))
            }
            UnaryOperator::Plus => self.expr(inner),
            UnaryOperator::Minus => self.negative(self.expr(inner)?, place),
            other => Err(SqlError::unsupported(place, format!("operator {other}"))),
        }
    }

    pub(super) fn is_null(&self, inner: &Expr, negated: bool) -> Result<Typed, SqlError> {
        let typed = self.expr(inner)?;
        let made = if negated { is_not_null(typed.expr) } else { is_null(typed.expr) };
        let expr = made.map_err(|error| wrong(place_of(inner), "IS NULL", &error))?;
        Ok(Typed { expr, sql_type: Type::Boolean })
    }

    pub(super) fn is_truth(
        &self,
        inner: &Expr,
        truth: Option<bool>,
        negated: bool,
    ) -> Result<Typed, SqlError> {
        let typed = self.condition(inner, "IS")?;
        let value = Typed::literal(ScalarValue::Boolean(truth), Type::Boolean);
        Ok(distinct_from(typed, value, negated))
    }

    pub(super) fn distinct(
        &self,
        left: &Expr,
        right: &Expr,
        negated: bool,
    ) -> Result<Typed, SqlError> {
        let place = place_of(left);
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        let common = left.sql_type.common(right.sql_type).ok_or_else(|| {
            SqlError::new(place, "IS DISTINCT FROM", "the two have no type in common")
        })?;
        let left = self.cast_to(left, common, place, "IS DISTINCT FROM")?;
        let right = self.cast_to(right, common, place, "IS DISTINCT FROM")?;
        Ok(distinct_from(left, right, negated))
    }

    pub(super) fn between(
        &self,
        inner: &Expr,
        negated: bool,
        low: &Expr,
        high: &Expr,
    ) -> Result<Typed, SqlError> {
        let place = place_of(inner);
        let typed = self.expr(inner)?;
        let low = self.compare(typed.clone(), Operator::GtEq, self.expr(low)?, place)?;
        let high = self.compare(typed, Operator::LtEq, self.expr(high)?, place)?;
        let both = logical(low, Operator::And, high);
        Ok(if negated { not(both) } else { both })
    }

    pub(super) fn in_list(
        &self,
        inner: &Expr,
        list: &[Expr],
        negated: bool,
    ) -> Result<Typed, SqlError> {
        let place = place_of(inner);
        let typed = self.expr(inner)?;
        let items = list.iter().map(|item| self.expr(item)).collect::<Result<Vec<_>, _>>()?;
        let mut common = typed.sql_type;
        for item in &items {
            common = common.common(item.sql_type).ok_or_else(|| {
                let problem = format!("{} is no {common}", item.sql_type);
                SqlError::new(place, "IN", problem).instead("convert one of them by CAST")
            })?;
        }
        let typed = self.cast_to(typed, common, place, "IN")?;
        let items = items
            .into_iter()
            .map(|item| self.cast_to(item, common, place, "IN").map(|item| item.expr))
            .collect::<Result<Vec<_>, _>>()?;
        let expr = in_list(typed.expr, items, &negated, &self.schema)
            .map_err(|error| wrong(place, "IN", &error))?;
        Ok(Typed { expr, sql_type: Type::Boolean })
    }

    pub(super) fn case(
        &self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        else_result: Option<&Expr>,
        whole: &Expr,
    ) -> Result<Typed, SqlError> {
        let place = place_of(whole);
        let operand = operand.map(|operand| self.expr(operand)).transpose()?;
        let mut whens = Vec::new();
        let mut thens = Vec::new();
        for CaseWhen { condition, result } in conditions {
            whens.push(match &operand {
                None => self.condition(condition, "WHEN")?,
                Some(operand) => {
                    let value = self.expr(condition)?;
                    self.compare(operand.clone(), Operator::Eq, value, place_of(condition))?
                }
            });
            thens.push(self.expr(result)?);
        }
        let otherwise = match else_result {
            Some(result) => self.expr(result)?,
            None => Typed::literal(ScalarValue::Null, Type::Null),
        };
        let mut common = otherwise.sql_type;
        for then in &thens {
            common = common.common(then.sql_type).ok_or_else(|| {
                let problem = format!("{common} and {} have no type in common", then.sql_type);
                SqlError::new(place, "CASE", problem).instead("convert one of them by CAST")
            })?;
        }
        if common == Type::Null {
            common = Type::Varchar(None);
        }
        let mut branches = Vec::new();
        for (when, then) in whens.into_iter().zip(thens) {
            branches.push((when.expr, self.cast_to(then, common, place, "CASE")?.expr));
        }
        let otherwise = self.cast_to(otherwise, common, place, "CASE")?;
        let expr = case(None, branches, Some(otherwise.expr))
            .map_err(|error| wrong(place, "CASE", &error))?;
        Ok(Typed { expr, sql_type: common })
    }
}

pub(super) fn logical(left: Typed, operator: Operator, right: Typed) -> Typed {
    let expr = BinaryExpr::new(left.expr, operator, right.expr);
    Typed { expr: Arc::new(expr), sql_type: Type::Boolean }
}

pub(super) fn not(typed: Typed) -> Typed {
    Typed { expr: Arc::new(NotExpr::new(typed.expr)), sql_type: Type::Boolean }
}

fn distinct_from(left: Typed, right: Typed, distinct: bool) -> Typed {
    let operator = if distinct { Operator::IsDistinctFrom } else { Operator::IsNotDistinctFrom };
    logical(left, operator, right)
}
