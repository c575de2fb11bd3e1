-- What the adapter reads without a function. It names the tables through these
-- views, so that it finds none of them where another version is at home.
CREATE VIEW emporium_1.documents AS SELECT * FROM emporium.documents;
CREATE VIEW emporium_1.entries AS SELECT * FROM emporium.entries;
CREATE VIEW emporium_1.blobs AS SELECT * FROM emporium.blobs;
CREATE VIEW emporium_1.chunks AS SELECT * FROM emporium.chunks;
CREATE VIEW emporium_1.topics AS SELECT * FROM emporium.topics;
CREATE VIEW emporium_1.events AS SELECT * FROM emporium.events;
CREATE VIEW emporium_1.subscriptions AS SELECT * FROM emporium.subscriptions;
CREATE VIEW emporium_1.tallies AS SELECT * FROM emporium.tallies;
CREATE VIEW emporium_1.deliveries AS SELECT * FROM emporium.deliveries;
CREATE VIEW emporium_1.delayed AS SELECT * FROM emporium.delayed;
CREATE VIEW emporium_1.waiting AS SELECT * FROM emporium.waiting;
CREATE VIEW emporium_1.dead AS SELECT * FROM emporium.dead;
CREATE VIEW emporium_1.workers AS SELECT * FROM emporium.workers;
