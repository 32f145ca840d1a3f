"""What every method of the SDK stands on, written by hand: how a call is sent, tried again, paged and streamed."""
