//! Functions of our own for DataFusion: those that the SQL Reference defines otherwise than
//! DataFusion does, or that it lacks.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray, StringBuilder};
use arrow::datatypes::{DataType, Field};
use datafusion_common::config::ConfigOptions;
use datafusion_common::{DataFusionError, Result};
use datafusion_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion_physical_expr::{PhysicalExpr, ScalarFunctionExpr};

use super::Typed;
use crate::types::Type;

type Body = dyn Fn(&[ArrayRef]) -> Result<ArrayRef> + Send + Sync;

/// A function of whole columns.
struct Function {
    // What it does with all its constants: two with the same are the same.
    name: String,
    returns: DataType,
    signature: Signature,
    body: Box<Body>,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.returns == other.returns
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.returns.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let n_rows = args.number_rows;
        let arrays: Vec<ArrayRef> =
            args.args.into_iter().map(|arg| arg.into_array(n_rows)).collect::<Result<_>>()?;
        (self.body)(&arrays).map(ColumnarValue::Array)
    }
}

/// A call of a function of whole columns. `name` must differ where the function does, so that
/// equal expressions are known as equal. There must be an argument.
pub(crate) fn call(
    name: impl Into<String>,
    returns: Type,
    args: Vec<Typed>,
    body: impl Fn(&[ArrayRef]) -> Result<ArrayRef> + Send + Sync + 'static,
) -> Typed {
    let function = Function {
        name: name.into(),
        returns: returns.arrow(),
        signature: Signature::variadic_any(Volatility::Immutable),
        body: Box::new(body),
    };
    let field = Arc::new(Field::new(&function.name, function.returns.clone(), true));
    let name = function.name.clone();
    let args: Vec<Arc<dyn PhysicalExpr>> = args.into_iter().map(|arg| arg.expr).collect();
    let udf = Arc::new(ScalarUDF::new_from_impl(function));
    let expr = ScalarFunctionExpr::new(&name, udf, args, field, config());
    Typed { expr: Arc::new(expr), sql_type: returns }
}

/// DataFusion's settings: the defaults.
pub(crate) fn config() -> Arc<ConfigOptions> {
    static CONFIG: std::sync::LazyLock<Arc<ConfigOptions>> =
        std::sync::LazyLock::new(|| Arc::new(ConfigOptions::new()));
    Arc::clone(&CONFIG)
}

/// An error of one row.
pub(crate) fn failed(message: impl Into<String>) -> DataFusionError {
    DataFusionError::Execution(message.into())
}

pub(crate) fn texts(array: &ArrayRef) -> Result<&StringArray> {
    array.as_any().downcast_ref().ok_or_else(|| failed("expected text"))
}

/// Texts to texts, NULL to NULL.
pub(crate) fn map_text<'a>(
    array: &'a ArrayRef,
    mut each: impl FnMut(&'a str) -> Result<Option<std::borrow::Cow<'a, str>>>,
) -> Result<ArrayRef> {
    let array = texts(array)?;
    let mut out = StringBuilder::with_capacity(array.len(), array.value_data().len());
    for text in array {
        match text.map(&mut each).transpose()?.flatten() {
            Some(text) => out.append_value(text),
            None => out.append_null(),
        }
    }
    Ok(Arc::new(out.finish()))
}
