-- Which history of which database the epoch was made for, so that a restored copy is told from the original.
ALTER TABLE installation ADD COLUMN origin text;
