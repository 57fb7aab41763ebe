-- Who applies for loans. An income that nobody has verified is NULL.
-- Safe to run again: nothing that is there is changed.

CREATE TABLE IF NOT EXISTS applicants (
    applicant_id   VARCHAR(20)    PRIMARY KEY,
    name           VARCHAR(100)   NOT NULL,
    born           DATE           NOT NULL,
    monthly_income NUMERIC(12, 2) CHECK (monthly_income > 0)
);

INSERT INTO applicants (applicant_id, name, born, monthly_income) VALUES
    ('A-100', 'Ada Adams',    '1986-03-14', 3200.00),
    ('A-101', 'Ben Brown',    '1979-11-02', 2100.00),
    ('A-102', 'Cleo Clark',   '1991-07-23', 1900.00),
    ('A-103', 'Dan Davis',    '1968-01-30', 2600.00),
    ('A-104', 'Eve Evans',    '1995-09-09', NULL),
    ('A-105', 'Finn Fischer', '1999-05-17', 2400.00)
ON CONFLICT (applicant_id) DO NOTHING;
