//! The scenes that ship.

use crate::check::SceneError;
use crate::scene::Scene;

/// The scenes that ship, by name, as TOML.
pub const SCENES: [(&str, &str); 6] = [
    ("walkthrough", include_str!("../scenes/walkthrough.toml")),
    ("pumps", include_str!("../scenes/pumps.toml")),
    ("greenhouse", include_str!("../scenes/greenhouse.toml")),
    ("meters", include_str!("../scenes/meters.toml")),
    ("shop", include_str!("../scenes/shop.toml")),
    ("ward", include_str!("../scenes/ward.toml")),
];

impl Scene {
    /// A scene that ships; `None` where none has that name.
    pub fn named(name: &str) -> Option<Self> {
        let (_, text) = SCENES.iter().find(|(known, _)| *known == name)?;
        Some(Self::from_toml(text).expect("a test reads every scene that ships"))
    }

    /// A scene that is one template of the Kinesis Data Generator, with random partition keys.
    ///
    /// # Errors
    /// The template has a function that is not known, or one with other arguments than it takes.
    pub fn of_template(text: &str) -> Result<Self, SceneError> {
        let mut scene: Self = toml::from_str("[format]\ntype = \"template\"").expect("a scene");
        scene.name = "template".to_owned();
        scene.format.template = Some(text.to_owned());
        crate::Template::parse(text)
            .map_err(|error| SceneError::new("the template", error.to_string()))?;
        Ok(scene)
    }
}
