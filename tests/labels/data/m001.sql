BEGIN TRANSACTION;
CREATE TABLE audio (
            sha256 TEXT PRIMARY KEY,
            bytes INTEGER NOT NULL,
            suffix TEXT NOT NULL,        -- file ending as uploaded: a hint for exports
            added TEXT NOT NULL          -- UTC
        );
INSERT INTO "audio" VALUES('54942b3a150bb12a299dd8671226f48e6460fcf71fc2777c80a1770fe437f98c',7,'.wav','2026-11-21T11:11:05.238Z');
INSERT INTO "audio" VALUES('8e1cb92379789ac4b60b7dfec66cf21f7e59451e8b16361bff884e2596346011',7,'.ogg','2026-11-21T11:11:05.273Z');
CREATE TABLE label (
            id TEXT PRIMARY KEY,
            audio_sha256 TEXT NOT NULL REFERENCES audio (sha256),
            annotator TEXT NOT NULL,
            label TEXT NOT NULL CHECK (label IN ('bonafide', 'spoof', 'unsure')),
            confidence INTEGER NOT NULL CHECK (confidence BETWEEN 1 AND 5),
            regions TEXT NOT NULL,       -- JSON [{start, end, label}], seconds
            attack TEXT NOT NULL,
            note TEXT NOT NULL,
            consent INTEGER NOT NULL CHECK (consent IN (0, 1)),
            licence TEXT NOT NULL,
            versions TEXT NOT NULL,      -- JSON {detector: version}
            scores TEXT NOT NULL,        -- JSON {detector: {score, llr, p_spoof}} as shown
            blind INTEGER NOT NULL CHECK (blind IN (0, 1)),
            created TEXT NOT NULL,       -- UTC
            supersedes TEXT UNIQUE REFERENCES label (id)
        );
INSERT INTO "label" VALUES('741430bda28248d78728e712469cecc9','54942b3a150bb12a299dd8671226f48e6460fcf71fc2777c80a1770fe437f98c','Anna','spoof',4,'[{"start": 0.5, "end": 1.0, "label": "spoof"}]','vocoder','metallic',1,'CC0-1.0','{"sls": "abc"}','{"sls": {"llr": -2.0, "p_spoof": 0.88, "score": -1.5}}',1,'2026-11-21T11:11:05.238Z',NULL);
INSERT INTO "label" VALUES('2431674eb9f049f4afc034d04131663b','8e1cb92379789ac4b60b7dfec66cf21f7e59451e8b16361bff884e2596346011','Anna','spoof',4,'[{"start": 0.5, "end": 1.0, "label": "spoof"}]','vocoder','metallic',1,'CC0-1.0','{"sls": "abc"}','{"sls": {"llr": -2.0, "p_spoof": 0.88, "score": -1.5}}',1,'2026-11-21T11:11:05.273Z',NULL);
INSERT INTO "label" VALUES('52324fc83fce462c88474bdc1a0d7913','8e1cb92379789ac4b60b7dfec66cf21f7e59451e8b16361bff884e2596346011','Anna','bonafide',2,'[]','','',1,'','{}','{}',0,'2026-11-21T11:11:05.370Z','2431674eb9f049f4afc034d04131663b');
INSERT INTO "label" VALUES('689703e044fd4d098f202ef0dc9ecaf8','8e1cb92379789ac4b60b7dfec66cf21f7e59451e8b16361bff884e2596346011','Bert','spoof',5,'[]','','',1,'','{}','{}',0,'2026-11-21T11:11:05.425Z',NULL);
CREATE TABLE migration (name TEXT PRIMARY KEY, applied TEXT NOT NULL);
INSERT INTO "migration" VALUES('m001_initial','2026-11-21T11:11:05Z');
CREATE INDEX label_by_audio ON label (audio_sha256, created);
CREATE TRIGGER audio_no_update BEFORE UPDATE ON audio BEGIN SELECT RAISE(ABORT, 'audio is append-only'); END;
CREATE TRIGGER audio_no_delete BEFORE DELETE ON audio BEGIN SELECT RAISE(ABORT, 'audio is append-only'); END;
CREATE TRIGGER label_no_update BEFORE UPDATE ON label BEGIN SELECT RAISE(ABORT, 'label is append-only'); END;
CREATE TRIGGER label_no_delete BEFORE DELETE ON label BEGIN SELECT RAISE(ABORT, 'label is append-only'); END;
COMMIT;
