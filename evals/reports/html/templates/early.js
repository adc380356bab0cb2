// Before anything is drawn: what only scripts can show is not drawn twice.
document.documentElement.classList.add("scripted");
