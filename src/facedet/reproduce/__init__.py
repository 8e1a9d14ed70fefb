"""The experiments of both papers: a catalogue, what runs it, and the report with verdicts."""
