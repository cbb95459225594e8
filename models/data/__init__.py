"""The text generator: stories, labelled lists and Llama 2 chats, made of word lists and templates.

A document is {"task": name, "seg": [[prompt, answer], ...]}; a chat has one segment per turn, and
the loss is taken on the answers only.
"""
from .chance import R, cap, maybe, use_held_out
from .chats import chat
from .chats import chat
from .documents import document, eval_item, raw
from .values import word
from .values import word
