"""What self.log collects, how it is reduced, when rows leave."""
