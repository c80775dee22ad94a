"""An edit: what changed, where the edited picture lies on its reference, objects, and editing by words."""
