"""People from a file: a workbook as CSV (sheet), encoding and delimiter (dialect), what its columns mean (columns), rows one
by one (reader, rows), into the tables in chunks (staging, apply), as one resumable job with progress (job), what was refused
(rejects). Lists (entries) and consents (consents) come in the same way (sorts).

Promises: good rows of a file with bad ones are kept; a row with one bad cell is refused whole, with line and reason;
addresses and tags are added, never taken away; a cell left empty changes nothing; the same file again changes nothing;
a run that died is taken up again without counting anything twice; memory does not grow with the
file, but for the distinct texts of a workbook.
"""
