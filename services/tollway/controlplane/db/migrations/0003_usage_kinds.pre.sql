-- A column for every kind of usage that is counted: a release that does not know them writes nothing into them.
ALTER TABLE ledger_attempts
    ADD COLUMN image_input_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN image_output_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN prediction_accepted_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN prediction_rejected_tokens bigint NOT NULL DEFAULT 0,
    ADD COLUMN images bigint NOT NULL DEFAULT 0,
    ADD COLUMN audio_ms bigint NOT NULL DEFAULT 0,
    ADD COLUMN characters bigint NOT NULL DEFAULT 0,
    ADD COLUMN searches bigint NOT NULL DEFAULT 0;
