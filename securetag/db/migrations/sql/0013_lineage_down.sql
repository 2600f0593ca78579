DROP TABLE securetag.training_use;
DROP TABLE securetag.model;
