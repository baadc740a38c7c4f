"""What every kind of stored thing needs of MongoDB: connections, transactions, finding."""
