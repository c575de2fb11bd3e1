-- What the adapter reads without a function. It names the tables through these
-- views, so that it finds none of them where another version is at home.
CREATE VIEW emporium_2.documents AS SELECT * FROM emporium.documents;
CREATE VIEW emporium_2.entries AS SELECT * FROM emporium.entries;
CREATE VIEW emporium_2.blobs AS SELECT * FROM emporium.blobs;
CREATE VIEW emporium_2.chunks AS SELECT * FROM emporium.chunks;
CREATE VIEW emporium_2.topics AS SELECT * FROM emporium.topics;
CREATE VIEW emporium_2.events AS SELECT * FROM emporium.events;
CREATE VIEW emporium_2.subscriptions AS SELECT * FROM emporium.subscriptions;
CREATE VIEW emporium_2.tallies AS SELECT * FROM emporium.tallies;
CREATE VIEW emporium_2.deliveries AS SELECT * FROM emporium.deliveries;
CREATE VIEW emporium_2.delayed AS SELECT * FROM emporium.delayed;
CREATE VIEW emporium_2.waiting AS SELECT * FROM emporium.waiting;
CREATE VIEW emporium_2.dead AS SELECT * FROM emporium.dead;
CREATE VIEW emporium_2.workers AS SELECT * FROM emporium.workers;
