"""Who acts here and by which rules: workspace, policy, people, waivers, and the machine's examination."""
