-- What a run is asked for is written down when it begins: settings that change results, and digests of weights. All its stages follow it,
-- also in processes of their own and after the deployment's settings have changed.

ALTER TABLE processing_jobs ADD COLUMN pinned jsonb;
