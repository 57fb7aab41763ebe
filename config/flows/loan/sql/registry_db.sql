-- The credit bureau's own data, which nobody but the bureau reads.
-- Safe to run again: nothing that is there is changed.

CREATE TABLE IF NOT EXISTS persons (
    person_id VARCHAR(20) PRIMARY KEY,
    points    INTEGER     NOT NULL
);

CREATE TABLE IF NOT EXISTS entries (
    person_id VARCHAR(20) NOT NULL,
    kind      VARCHAR(20) NOT NULL,
    PRIMARY KEY (person_id, kind)
);

INSERT INTO persons (person_id, points) VALUES
    ('A-100', 735), ('A-101', 680), ('A-102', 640), ('A-103', 560), ('A-104', 710)
ON CONFLICT (person_id) DO NOTHING;

INSERT INTO entries (person_id, kind) VALUES
    ('A-102', 'late_payment'), ('A-103', 'insolvency')
ON CONFLICT (person_id, kind) DO NOTHING;
