"""The rules that an organisation sets for every plan and run: `harchos.policy.yaml`."""
