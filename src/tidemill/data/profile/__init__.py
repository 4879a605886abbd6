"""What is in a dataset: each column, the classes, and how the two hang together."""

from tidemill.data.profile.columns import Maps
from tidemill.data.profile.kinds import type_text
from tidemill.data.profile.profiling import Profile, pictures, profile
from tidemill.data.profile.values import SHARES, ColumnProfile, Histogram

__all__ = ["SHARES", "ColumnProfile", "Histogram", "Maps", "Profile", "pictures", "profile", "type_text"]
