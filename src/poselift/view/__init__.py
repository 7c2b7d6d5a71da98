"""Looking at clips: a self-contained page, a contact sheet, a live viewer, plots. Heavy libraries load when used."""
