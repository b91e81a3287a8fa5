(** Sequences of tokens, one of each row, whose vectors are added up: how many end below 0 in every entry. Bundles whose
    largest continuation ends there are counted at once. *)

From Coq Require Import ZArith List Lia Bool.
From Compact Require Import Integer.Matrix Count.Counting.
Import ListNotations.
Open Scope Z_scope.

(** A token, what it adds for each wrong token, and how far that may be too high. *)
Record choice := Choice { token : nat; terms : list Z; doubt : Z }.

Notation plus := (zip Z.add).

Definition total (start : list Z) (cs : list choice) : list Z := fold_left (fun sum c => plus sum (terms c)) cs start.
Definition total_doubt (start : Z) (cs : list choice) : Z := fold_left (fun sum c => sum + doubt c) cs start.

Definition negative (a : list Z) : bool := forallb (fun x => x <? 0) a.

(** [negative (plus a b)] *)
Fixpoint sum_negative (a b : list Z) : bool :=
  match a, b with x :: a', y :: b' => (x + y <? 0) && sum_negative a' b' | _, _ => true end.

(** The extreme of each entry, over the vectors of a row. *)
Definition extreme (best : Z -> Z -> Z) (row : list choice) : list Z :=
  match row with [] => [] | first :: rest => fold_right (fun c most => zip best (terms c) most) (terms first) rest end.

Record level := Level {
  choices : list choice;
  most : list Z; least : list Z;  (** of what this row and those after it can add *)
  all_ways : Z; ways_holding : Z }.

Section Walk.
Variables (m : nat) (quick : bool).
Variable surely_wrong : list nat -> list Z -> Z -> bool.

Definition is_m (c : choice) : bool := Nat.eqb (token c) m.

Fixpoint levels (n : nat) (rows : list (list choice)) : list level :=
  match rows with
  | [] => []
  | row :: rest =>
      let after := levels n rest in
      let '(m1, m2) := match after with [] => (repeat 0 n, repeat 0 n) | l :: _ => (most l, least l) end in
      {| choices := row; most := plus (extreme Z.max row) m1; least := plus (extreme Z.min row) m2;
         all_ways := ways rows; ways_holding := ways_with is_m rows |} :: after
  end.

(** How many sequences are below 0 everywhere and hold [m], and how many hold [m] and are surely wrong. [seen]: the
    tokens so far hold it. With [quick] wrong ones are not asked for. *)
Fixpoint walk (ls : list level) (seen : bool) (sum : list Z) (doubts : Z) (tokens : list nat) : Z * Z :=
  match ls with
  | [] =>
      if seen then
        if negative sum then (1, 0) else (0, if surely_wrong tokens sum doubts then 1 else 0)
      else (0, 0)
  | l :: rest =>
      if sum_negative sum (most l) then ((if seen then all_ways l else ways_holding l), 0)
      else if quick && negb (sum_negative sum (least l)) then (0, 0)
      else fold_left (fun found c =>
             let '(c1, w1) := walk rest (seen || is_m c) (plus sum (terms c)) (doubts + doubt c) (token c :: tokens) in
             (fst found + c1, snd found + w1)) (choices l) (0, 0)
  end.

(** ** Vectors, entry by entry *)

Notation below := (Forall2 Z.le).

Lemma below_refl : forall a, below a a.
Proof. induction a; constructor; [lia | assumption]. Qed.

Lemma below_trans : forall a b c, below a b -> below b c -> below a c.
Proof.
  intros a b c H. revert c. induction H; intros c J; inversion J; subst; constructor; [lia | auto].
Qed.

Lemma plus_mono : forall a a' b b', below a a' -> below b b' -> below (plus a b) (plus a' b').
Proof.
  intros a a' b b' H. revert b b'. induction H; intros b b' J; [constructor|].
  destruct J; constructor; [lia | auto].
Qed.

Lemma plus_assoc : forall a b c, plus (plus a b) c = plus a (plus b c).
Proof.
  induction a as [|x a IH]; intros [|y b] [|z c]; try reflexivity. cbn [zip]. rewrite IH. f_equal. lia.
Qed.

Lemma plus_0 : forall a n, length a = n -> plus a (repeat 0 n) = a.
Proof. induction a as [|x a IH]; intros [|n] L; try discriminate; [reflexivity|]. cbn. rewrite IH by (simpl in L; lia). f_equal. lia. Qed.

Lemma zip_max_l : forall a b, length a = length b -> below a (zip Z.max a b).
Proof. induction a as [|x a IH]; intros [|y b] L; try discriminate; constructor; [lia | apply IH; simpl in L; lia]. Qed.

Lemma zip_max_r : forall a b, length a = length b -> below b (zip Z.max a b).
Proof. induction a as [|x a IH]; intros [|y b] L; try discriminate; constructor; [lia | apply IH; simpl in L; lia]. Qed.

Lemma negative_below : forall a b, below a b -> negative b = true -> negative a = true.
Proof.
  intros a b H. induction H as [|x y a b xy _ IH]; [reflexivity|]. cbn. rewrite !andb_true_iff, !Z.ltb_lt.
  intros [? ?]. split; [lia | auto].
Qed.

Lemma sum_negative_plus : forall a b, sum_negative a b = negative (plus a b).
Proof. induction a as [|x a IH]; intros [|y b]; try reflexivity. cbn. now rewrite IH. Qed.

Definition uniform (n : nat) (row : list choice) : Prop := Forall (fun c => length (terms c) = n) row.

Lemma extreme_max : forall n row c, uniform n row -> In c row ->
  length (extreme Z.max row) = n /\ below (terms c) (extreme Z.max row).
Proof.
  intros n [|first rest] c U I; [destruct I|]. inversion U as [|? ? L V]; subst. simpl extreme.
  assert (G : forall l, uniform (length (terms first)) l ->
    length (fold_right (fun c most => zip Z.max (terms c) most) (terms first) l) = length (terms first) /\
    below (terms first) (fold_right (fun c most => zip Z.max (terms c) most) (terms first) l) /\
    forall c, In c l -> below (terms c) (fold_right (fun c most => zip Z.max (terms c) most) (terms first) l)).
  { induction l as [|e l IH]; intros W; simpl; [repeat split; [apply below_refl | easy]|].
    inversion W as [|? ? K X]; subst. destruct (IH X) as (len & one & others).
    split; [|split].
    - apply zip_length; congruence.
    - apply below_trans with (1 := one). apply zip_max_r. congruence.
    - intros f [<-|J]; [apply zip_max_l; congruence|]. apply below_trans with (1 := others f J).
      apply zip_max_r. congruence. }
  destruct (G rest V) as (len & one & others). split; [assumption|]. destruct I as [<-|I]; auto.
Qed.

Definition most_of (n : nat) (ls : list level) : list Z := match ls with [] => repeat 0 n | l :: _ => most l end.

Lemma total_below : forall n rows, Forall (uniform n) rows -> forall cs sum, In cs (product rows) -> length sum = n ->
  below (total sum cs) (plus sum (most_of n (levels n rows))).
Proof.
  induction rows as [|row rest IH]; intros U cs sum I L.
  - destruct I as [<-|[]]. simpl. rewrite plus_0 by assumption. apply below_refl.
  - inversion U as [|? ? U1 U2]; subst. apply in_product in I. inversion I as [|c ? cs' ? J K]; subst.
    apply in_product in K. destruct (extreme_max _ _ _ U1 J) as [len best].
    assert (T : length (terms c) = length sum) by (unfold uniform in U1; rewrite Forall_forall in U1; now apply U1).
    unfold total. cbn [fold_left]. fold (total (plus sum (terms c)) cs').
    apply below_trans with (1 := IH U2 cs' (plus sum (terms c)) K ltac:(apply zip_length; auto)).
    rewrite plus_assoc. apply plus_mono; [apply below_refl|]. cbn [levels].
    unfold most_of. destruct (levels (length sum) rest) as [|l ls]; cbn [most];
      (apply plus_mono; [assumption | apply below_refl]).
Qed.

Definition accepted (seen : bool) (sum : list Z) (cs : list choice) : bool :=
  (seen || existsb is_m cs) && negative (total sum cs).

Definition refused (seen : bool) (sum : list Z) (doubts : Z) (tokens : list nat) (cs : list choice) : bool :=
  (seen || existsb is_m cs) && surely_wrong (rev (map token cs) ++ tokens) (total sum cs) (total_doubt doubts cs).

Lemma fold_pairs : forall (f : choice -> Z * Z) row c w,
  fold_left (fun found c => let '(c1, w1) := f c in (fst found + c1, snd found + w1)) row (c, w)
  = (c + add_up (map (fun x => fst (f x)) row), w + add_up (map (fun x => snd (f x)) row)).
Proof.
  induction row as [|x row IH]; intros c w; cbn [fold_left map add_up]; [f_equal; lia|].
  destruct (f x) as [c1 w1] eqn:E. cbn [fst snd]. rewrite IH. f_equal; lia.
Qed.

Theorem walk_counts : forall n rows, Forall (uniform n) rows -> forall seen sum doubts tokens, length sum = n ->
  fst (walk (levels n rows) seen sum doubts tokens) <= count (accepted seen sum) rows /\
  snd (walk (levels n rows) seen sum doubts tokens) <= count (refused seen sum doubts tokens) rows.
Proof.
  induction rows as [|row rest IH]; intros U seen sum doubts tokens L.
  - unfold accepted, refused, total, total_doubt. cbn [levels walk count existsb fold_left map rev app].
    rewrite orb_false_r. destruct seen; cbn [andb]; [|cbn; lia].
    destruct (negative sum), (surely_wrong tokens sum doubts); cbn; lia.
  - pose proof (total_below n (row :: rest) U) as top.
    cbn [levels] in *. inversion U as [|? ? U1 U2]; subst.
    set (after := levels (length sum) rest) in *.
    set (pair := match after with [] => _ | l :: _ => _ end) in *. destruct pair as [m1 m2] eqn:E.
    cbn [walk choices most least all_ways ways_holding most_of] in *.
    destruct (sum_negative sum (plus (extreme Z.max row) m1)) eqn:settled.
    { cbn [fst snd]. split; [|apply count_nonneg].
      rewrite sum_negative_plus in settled.
      assert (every : forall cs, In cs (product (row :: rest)) -> negative (total sum cs) = true).
      { intros cs I. apply negative_below with (2 := settled). now apply top. }
      unfold accepted. destruct seen.
      - rewrite ways_count. apply count_le. intros cs I _. now rewrite every.
      - rewrite ways_with_count. apply count_le. intros cs I J. rewrite J. now rewrite every. }
    destruct (quick && negb (sum_negative sum (plus (extreme Z.min row) m2))).
    { cbn [fst snd]. split; apply count_nonneg. }
    rewrite fold_pairs. cbn [fst snd count]. rewrite !Z.add_0_l.
    assert (each : forall c, In c row ->
      fst (walk after (seen || is_m c) (plus sum (terms c)) (doubts + doubt c) (token c :: tokens))
        <= count (fun cs => accepted seen sum (c :: cs)) rest /\
      snd (walk after (seen || is_m c) (plus sum (terms c)) (doubts + doubt c) (token c :: tokens))
        <= count (fun cs => refused seen sum doubts tokens (c :: cs)) rest).
    { intros c I.
      assert (T : length (terms c) = length sum) by (unfold uniform in U1; rewrite Forall_forall in U1; now apply U1).
      destruct (IH U2 (seen || is_m c) (plus sum (terms c)) (doubts + doubt c) (token c :: tokens)
        ltac:(apply zip_length; auto)) as [A B].
      split; [apply Z.le_trans with (1 := A) | apply Z.le_trans with (1 := B)]; apply count_le; intros cs _.
      - unfold accepted. cbn [existsb]. rewrite orb_assoc. auto.
      - unfold refused. cbn [existsb map rev]. rewrite orb_assoc, <- app_assoc. auto. }
    split; apply add_up_le; intros c I; apply each, I.
Qed.
End Walk.
