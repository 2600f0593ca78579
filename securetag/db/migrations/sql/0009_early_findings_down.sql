DROP TABLE securetag.scan_report;
