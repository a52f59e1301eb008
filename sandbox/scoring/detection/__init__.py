"""Detection: findings matched with lesions by a declared rule, and curves over their ratings."""
