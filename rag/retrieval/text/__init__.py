"""What rules make of the texts of documents and answers: blocks, sentences, their language."""
