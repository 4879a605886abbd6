"""Where rows come from: files of several formats, folders of images, databases, frames. They know no dataset."""
