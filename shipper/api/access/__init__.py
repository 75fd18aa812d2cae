"""Who may ask what, how much of it, and who asked: in front of every route and page.

`gate` is the one place where a request is let in; `rules` says which scope a path needs; `tokens` and `token_files`
know the tokens; `scoped` is the store as one caller may see it; `limits` and `audit` do what their names say.
"""
