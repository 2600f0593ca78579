"""What api, worker and clients say to each other: `queue` between api and worker, `answers` to everybody."""
