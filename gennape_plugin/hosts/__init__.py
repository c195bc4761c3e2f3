"""Search frameworks: evaluators and predictors in the form that each asks for."""
