-- Mail to people at their own addresses: to who may decide a request, and to who made it. It goes by no channel.
ALTER TABLE alert_deliveries ALTER COLUMN channel_id DROP NOT NULL;
ALTER TABLE alert_deliveries ADD COLUMN recipients text[];
ALTER TABLE alert_deliveries ADD CHECK (num_nonnulls(channel_id, recipients) = 1);
