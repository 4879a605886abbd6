"""Where orders are carried out: in worker processes of this machine, or in this process."""
