-- Loans that were made: what is paid each month, what is left, and for how long a payment is overdue.
-- Safe to run again: nothing that is there is changed.

CREATE TABLE IF NOT EXISTS loans (
    loan_id         VARCHAR(20)    PRIMARY KEY,
    applicant_id    VARCHAR(20)    NOT NULL,
    monthly_payment NUMERIC(12, 2) NOT NULL CHECK (monthly_payment >= 0),
    balance         NUMERIC(12, 2) NOT NULL CHECK (balance >= 0),
    days_overdue    INTEGER        NOT NULL CHECK (days_overdue >= 0)
);
CREATE INDEX IF NOT EXISTS loans_applicant ON loans (applicant_id);

INSERT INTO loans (loan_id, applicant_id, monthly_payment, balance, days_overdue) VALUES
    ('L-1', 'A-100', 210.50,  4100.00,  0),
    ('L-2', 'A-100',  89.90,   900.00,  0),
    ('L-3', 'A-100', 120.00,     0.00,  0),
    ('L-4', 'A-101', 415.00, 11200.00,  0),
    ('L-5', 'A-102', 640.00, 21000.00,  0),
    ('L-6', 'A-103', 150.00,  2000.00, 75),
    ('L-7', 'A-103',  60.00,   500.00, 12),
    ('L-8', 'A-103',  45.00,   300.00,  0),
    ('L-9', 'A-103',  99.00,  1200.00, 40)
ON CONFLICT (loan_id) DO NOTHING;
