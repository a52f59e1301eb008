"""Groups with different cases: standardised and adjusted comparisons, representativeness, slice discovery."""
