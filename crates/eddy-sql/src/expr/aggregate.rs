//! Aggregate functions: which there are, and DataFusion's implementations of them.

use std::sync::Arc;

use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::SchemaRef;
use datafusion_common::{Result as DataResult, ScalarValue};
use datafusion_expr::{AggregateUDF, GroupsAccumulator};
use datafusion_functions_aggregate::{average, count, first_last, min_max, stddev, sum, variance};
use datafusion_functions_aggregate_common::aggregate::groups_accumulator::GroupsAccumulatorAdapter;
use datafusion_physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use sqlparser::ast::{
    DuplicateTreatment, Function, FunctionArg, FunctionArgExpr, FunctionArguments, NullTreatment,
};

use super::arithmetic::in_range;
use super::spread::{Spread, Spreads};
use super::udf::{call, failed};
use super::{Translator, Typed, function_name, place_of, wrong};
use crate::error::{Place, SqlError};
use crate::types::Type;

/// One aggregate of a query, over columns that are made before it.
#[derive(Clone, Debug)]
pub(crate) struct Aggregate {
    /// What is aggregated; the constant 1 for `COUNT(*)`.
    pub(crate) argument: Typed,
    pub(crate) sql_type: Type,
    function: Arc<AggregateFunctionExpr>,
    /// COUNT(*).
    pub(crate) counts_rows: bool,
    // VAR and STDDEV.
    spread: Option<Spread>,
    // Of integers: they are added as DECIMALs, which do not wrap.
    sums_integers: bool,
}

/// What integers are added as.
const INTEGERS: Type = Type::Decimal { precision: 19, scale: 0 };

/// Whether a function of that name is an aggregate.
pub(crate) fn is_aggregate(name: &str) -> bool {
    matches!(
        name,
        "COUNT"
            | "SUM"
            | "AVG"
            | "MIN"
            | "MAX"
            | "FIRST_VALUE"
            | "LAST_VALUE"
            | "STDDEV"
            | "STDDEV_POP"
            | "STDDEV_SAMP"
            | "VAR"
            | "VARIANCE"
            | "VAR_POP"
            | "VAR_SAMP"
            | "EXP_AVG"
    )
}

impl Aggregate {
    /// The aggregate that a call means.
    pub(crate) fn of(
        function: &Function,
        translator: &Translator<'_>,
        place: Place,
    ) -> Result<Self, SqlError> {
        let name = function_name(function);
        let refused = |what: &str| SqlError::unsupported(place, format!("{name} {what}"));
        if name == "EXP_AVG" {
            return Err(SqlError::unsupported(place, "EXP_AVG without OVER").instead(
                "write EXP_AVG(x, INTERVAL '10' SECOND) OVER (RANGE INTERVAL '30' SECOND PRECEDING)",
            ));
        }
        if function.filter.is_some() {
            return Err(refused("FILTER").instead("write a CASE inside the aggregate"));
        }
        if !function.within_group.is_empty() {
            return Err(refused("WITHIN GROUP"));
        }
        let FunctionArguments::List(list) = &function.args else {
            return Err(SqlError::new(place, name, "without arguments"));
        };
        if !list.clauses.is_empty() {
            return Err(refused("with clauses in its arguments"));
        }
        let is_distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct)
            && !matches!(name.as_str(), "MIN" | "MAX");
        if is_distinct && name != "COUNT" {
            return Err(refused("DISTINCT")
                .instead("aggregate over SELECT STREAM DISTINCT in a subquery or a stream"));
        }
        let argument = match list.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] if name == "COUNT" => {
                Typed::literal(1_i64.into(), Type::BigInt)
            }
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] => {
                let typed = translator.expr(expr)?;
                prepared(typed, &name, translator, place_of(expr))?
            }
            _ => return Err(SqlError::new(place, name, "one argument is needed")),
        };
        let udf: Arc<AggregateUDF> = match name.as_str() {
            "COUNT" => count::count_udaf(),
            "SUM" => sum::sum_udaf(),
            "AVG" => average::avg_udaf(),
            "MIN" => min_max::min_udaf(),
            "MAX" => min_max::max_udaf(),
            "FIRST_VALUE" => first_last::first_value_udaf(),
            "LAST_VALUE" => first_last::last_value_udaf(),
            "STDDEV" | "STDDEV_SAMP" => stddev::stddev_udaf(),
            "STDDEV_POP" => stddev::stddev_pop_udaf(),
            "VAR" | "VARIANCE" | "VAR_SAMP" => variance::var_samp_udaf(),
            "VAR_POP" => variance::var_pop_udaf(),
            _ => return Err(SqlError::unsupported(place, name)),
        };
        let ignores_nulls = function.null_treatment == Some(NullTreatment::IgnoreNulls);
        let counts_rows = list
            .args
            .iter()
            .any(|arg| matches!(arg, FunctionArg::Unnamed(FunctionArgExpr::Wildcard)));
        let spread = |is_sample, is_root| Some(Spread { is_sample, is_root });
        let spread = match name.as_str() {
            "STDDEV" | "STDDEV_SAMP" => spread(true, true),
            "STDDEV_POP" => spread(false, true),
            "VAR" | "VARIANCE" | "VAR_SAMP" => spread(true, false),
            "VAR_POP" => spread(false, false),
            _ => None,
        };
        let sums_integers = name == "SUM" && argument.sql_type == INTEGERS;
        Ok(Self {
            counts_rows,
            spread,
            sums_integers,
            ..Self::build(udf, argument, is_distinct, ignores_nulls, place)?
        })
    }

    fn build(
        udf: Arc<AggregateUDF>,
        argument: Typed,
        is_distinct: bool,
        ignores_nulls: bool,
        place: Place,
    ) -> Result<Self, SqlError> {
        // The argument is a column of its own by the time it is aggregated.
        let name = udf.name().to_uppercase();
        let column = Typed::column("c0", 0, argument.sql_type);
        let mut builder = AggregateExprBuilder::new(udf, vec![column.expr])
            .schema(argument_schema(argument.sql_type))
            .alias(name.clone())
            .with_distinct(is_distinct);
        if ignores_nulls {
            builder = builder.ignore_nulls();
        }
        let function = builder.build().map_err(|error| wrong(place, name.clone(), &error))?;
        let made = Type::from_arrow(function.field().data_type())
            .ok_or_else(|| SqlError::unsupported(place, name.clone()))?;
        let sql_type = match name.as_str() {
            "MIN" | "MAX" | "FIRST_VALUE" | "LAST_VALUE" => argument.sql_type,
            _ => made,
        };
        Ok(Self {
            argument,
            sql_type,
            function: Arc::new(function),
            counts_rows: false,
            spread: None,
            sums_integers: false,
        })
    }

    /// What the column of its values stands for in expressions: a sum beyond its type is an error of
    /// the row.
    pub(crate) fn result(&self, column: Typed) -> Typed {
        if self.sums_integers {
            return call("sum as BIGINT", Type::BigInt, vec![column], |args| {
                let options = CastOptions { safe: false, ..CastOptions::default() };
                cast_with_options(&args[0], &Type::BigInt.arrow(), &options)
                    .map_err(|_| failed("numeric value out of range of BIGINT"))
            });
        }
        if self.sql_type == Type::Double { finite(column) } else { column }
    }

    /// The types of the columns that its state is.
    pub(crate) fn state_types(&self) -> DataResult<Vec<arrow::datatypes::DataType>> {
        use arrow::datatypes::DataType::{Float64, UInt64};
        if self.spread.is_some() {
            return Ok(vec![UInt64, Float64, Float64]);
        }
        let fields = self.function.state_fields()?;
        Ok(fields.iter().map(|field| field.data_type().clone()).collect())
    }

    /// An accumulator of many groups. Numbers are added one after the other, so that results do not
    /// depend on how rows come in batches.
    pub(crate) fn groups(&self) -> DataResult<Box<dyn GroupsAccumulator>> {
        if let Some(spread) = self.spread {
            return Ok(Box::new(Spreads::new(spread)));
        }
        if self.function.groups_accumulator_supported() {
            return self.function.create_groups_accumulator();
        }
        let function = Arc::clone(&self.function);
        Ok(Box::new(GroupsAccumulatorAdapter::new(move || function.create_accumulator())))
    }

    /// Whether it can be worked out over a window without bounds, which is kept as a state.
    pub(crate) fn can_run(&self) -> bool {
        self.spread.is_none()
    }

    /// An accumulator of one group.
    pub(crate) fn accumulator(&self) -> DataResult<Box<dyn datafusion_expr::Accumulator>> {
        self.function.create_accumulator()
    }
}

/// A DOUBLE that was worked out: beyond its range it is an error of the row.
pub(crate) fn finite(column: Typed) -> Typed {
    call("in range", Type::Double, vec![column], |args| in_range(&args[0]))
}

/// The argument and the half-life in milliseconds of a call of EXP_AVG.
pub(crate) fn exp_avg(
    function: &Function,
    translator: &Translator<'_>,
    place: Place,
) -> Result<(Typed, i64), SqlError> {
    const NAME: &str = "EXP_AVG";
    let is_plain = match &function.args {
        FunctionArguments::List(list) => {
            list.duplicate_treatment.is_none() && list.clauses.is_empty()
        }
        _ => false,
    };
    if !is_plain || function.filter.is_some() || function.null_treatment.is_some() {
        return Err(SqlError::unsupported(place, "EXP_AVG with clauses")
            .instead("write EXP_AVG(x, INTERVAL '10' SECOND)"));
    }
    let args = super::argument_exprs(function, place)?;
    let [argument, half_life] = args[..] else {
        return Err(SqlError::new(place, NAME, "two arguments are needed")
            .instead("write EXP_AVG(x, INTERVAL '10' SECOND)"));
    };
    let typed = translator.expr(argument)?;
    let argument = prepared(typed, NAME, translator, place_of(argument))?;
    let typed = translator.expr(half_life)?;
    match (typed.sql_type, typed.constant()) {
        (Type::Interval(_), Some(ScalarValue::Int64(Some(ms)))) if *ms > 0 => Ok((argument, *ms)),
        _ => Err(SqlError::new(
            place_of(half_life),
            NAME,
            "its half-life is a constant interval of days to seconds, more than 0",
        )
        .instead("write INTERVAL '10' SECOND")),
    }
}

fn argument_schema(sql_type: Type) -> SchemaRef {
    super::arrow_schema([sql_type])
}

/// The argument in the type that the aggregate is worked out in.
fn prepared(
    typed: Typed,
    name: &str,
    translator: &Translator<'_>,
    place: Place,
) -> Result<Typed, SqlError> {
    match name {
        "COUNT" | "MIN" | "MAX" | "FIRST_VALUE" | "LAST_VALUE" => {
            if typed.sql_type == Type::Null {
                return translator.cast_to(typed, Type::Integer, place, name);
            }
            Ok(typed)
        }
        "SUM" | "AVG" => match typed.sql_type {
            // Another DECIMAL than the integers'.
            INTEGERS if name == "SUM" => {
                let wider = Type::Decimal { precision: 20, scale: 0 };
                translator.cast_to(typed, wider, place, name)
            }
            Type::Decimal { .. } => Ok(typed),
            it if it.is_integer() && name == "SUM" => {
                translator.cast_to(typed, INTEGERS, place, name)
            }
            it if it.is_numeric() || it.is_text() || it == Type::Null => {
                translator.cast_to(typed, Type::Double, place, name)
            }
            it => Err(SqlError::new(place, name, format!("{it} is no number"))),
        },
        _ => match typed.sql_type {
            it if it.is_numeric() || it == Type::Null => {
                translator.cast_to(typed, Type::Double, place, name)
            }
            it => Err(SqlError::new(place, name, format!("{it} is no number"))),
        },
    }
}
