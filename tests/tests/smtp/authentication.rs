//! SPF, DKIM and DMARC with names of our own.
