-- How a model's targets are chosen, tried again and left for other models. Of retries, breaker and hedge the columns keep
-- what is not the default; no hedge is null. Fallbacks are names of models, which never change.
ALTER TABLE models
    ADD COLUMN affinity text NOT NULL DEFAULT 'session' CHECK (affinity IN ('session', 'prefix')),
    ADD COLUMN fallbacks text[] NOT NULL DEFAULT '{}',
    ADD COLUMN context_fallbacks text[] NOT NULL DEFAULT '{}',
    ADD COLUMN filter_fallbacks text[] NOT NULL DEFAULT '{}',
    ADD COLUMN retries jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN breaker jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN hedge jsonb;

-- How often a target that fails is asked whether it is back; 0: requests alone find out.
ALTER TABLE providers
    ADD COLUMN probe_seconds double precision NOT NULL DEFAULT 0
        CHECK (probe_seconds = 0 OR probe_seconds BETWEEN 1 AND 3600);

-- What a provider allows a credential: {requests_per_minute, tokens_per_minute, concurrent}; absent: not bounded here.
ALTER TABLE credentials ADD COLUMN quota jsonb NOT NULL DEFAULT '{}';

-- Whether a project's answers are kept and given again, and who waits when there is more than can be done.
ALTER TABLE projects
    ADD COLUMN cache_enabled boolean NOT NULL DEFAULT false,
    ADD COLUMN cache_ttl_seconds integer NOT NULL DEFAULT 3600 CHECK (cache_ttl_seconds BETWEEN 1 AND 2592000),
    ADD COLUMN cache_scope text NOT NULL DEFAULT 'project' CHECK (cache_scope IN ('project', 'organisation')),
    ADD COLUMN cache_similarity double precision CHECK (cache_similarity BETWEEN 0.5 AND 0.999),
    ADD COLUMN priority text NOT NULL DEFAULT 'interactive' CHECK (priority IN ('interactive', 'batch'));
