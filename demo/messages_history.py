"""What a visitor reads in the list of what this visit has analysed."""

HEADING = "Earlier in this visit ({count})"
HELP = (
    "Only you see this list; it ends with your visit. An analysis can be shown again for as long as this app "
    "keeps it in memory, at most two hours after it was last used."
)
LIST = "Analyses of this visit, the latest first: time, file, verdict, and 0.00 human to 1.00 machine-made"
SHOW = "Show it again"
REMOVE = "Remove from the list"
FORGOTTEN = "no longer kept"
SHOWN = "{name}, as it was analysed at {time}. It need not be the clip at the top of the page."
CHOOSE = "Choose one of the analyses first."
NOT_LISTED = "That analysis is not in the list of this visit."
GONE = "This analysis is no longer kept. Analyse the clip again to see it."
REMOVED = "Removed from the list."
