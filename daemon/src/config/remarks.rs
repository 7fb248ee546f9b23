//! What a configuration that can be had does not give.

use super::Config;

impl Config {
    /// Where one value keeps another from having its effect, for people.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let most = self.limits.spares;
        let of_templates = self.templates.iter().filter_map(|(name, template)| {
            let spares = template.spares?;
            Some((format!("templates.{name}.spares.min"), spares.min))
        });
        let all = std::iter::once(("spares.min".to_owned(), self.spares.min)).chain(of_templates);
        // With a limit of 0 none are wanted.
        let remarks: Vec<String> = all
            .filter(|(_, min)| most > 0 && *min > most)
            .map(|(field, min)| {
                format!("{field} is {min}, and limits.spares lets no more than {most} wait")
            })
            .collect();
        let together = self.least_spares();
        match remarks.is_empty() && most > 0 && together > most {
            true => vec![format!(
                "spares.min of all templates together is {together}, and limits.spares lets no more than \
                 {most} wait"
            )],
            false => remarks,
        }
    }

    /// How many spares its templates are to have at least, all together.
    fn least_spares(&self) -> usize {
        let least = self
            .templates
            .values()
            .map(|template| template.spares.unwrap_or(self.spares).min);
        least.fold(0, usize::saturating_add)
    }

    /// Has the log tell.
    pub(crate) fn warn(&self) {
        for remark in self.remarks() {
            tracing::warn!("the configuration: {remark}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn spares_that_can_not_be_had_are_told() {
        let parse = |text: &str| Config::parse(text, Path::new("x")).unwrap().remarks();
        let template = "[templates.a]\nprogram = \"/a\"\nspares = { min = 65, max = 70 }\n";
        assert_eq!(
            parse(&format!("[spares]\nmin = 70\nmax = 80\n{template}")),
            [
                "spares.min is 70, and limits.spares lets no more than 64 wait",
                "templates.a.spares.min is 65, and limits.spares lets no more than 64 wait",
            ]
        );
        let another = template.replace(".a]", ".b]");
        assert_eq!(
            parse(&format!("[limits]\nspares = 100\n{template}{another}")),
            [
                "spares.min of all templates together is 130, and limits.spares lets no more than 100 wait"
            ]
        );
        assert!(parse(&format!("[limits]\nspares = 65\n{template}")).is_empty());
        assert!(parse(&format!("[limits]\nspares = 0\n{template}")).is_empty());
    }
}
